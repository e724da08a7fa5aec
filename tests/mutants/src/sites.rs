//! Finds what can be mutated in a source file, and how.

use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Expr, ReturnType, Stmt, Type, UnOp};

/// A place in a file, and everything that can be wrong there, one at a time.
pub struct Site {
    /// The bytes it stands for.
    pub range: Range<usize>,
    pub form: Form,
    pub mutants: Vec<Mutant>,
}

pub struct Mutant {
    pub id: usize,
    pub line: usize,
    /// The function around it.
    pub function: String,
    /// `replace == with !=`
    pub what: String,
    /// What takes the place of the expression; its meaning depends on the form.
    pub text: String,
}

pub enum Form {
    /// An expression: each mutant's text is another one.
    Expression,
    /// After the opening brace of a body: each mutant's text is a statement that leaves it.
    Body,
    /// After a pattern without a guard: the arm is passed over.
    Arm,
    /// A statement: it is left out.
    Statement,
}

/// Everything in `source` that can be mutated; numbers begin at `first`.
pub fn find(source: &str, first: usize) -> syn::Result<Vec<Site>> {
    let file = syn::parse_file(source)?;
    let mut finder = Finder { source, next: first, functions: Vec::new(), sites: Vec::new() };
    finder.visit_file(&file);
    Ok(finder.sites)
}

struct Finder<'a> {
    source: &'a str,
    next: usize,
    functions: Vec<String>,
    sites: Vec<Site>,
}

impl Finder<'_> {
    fn text(&self, spanned: &impl Spanned) -> &str {
        &self.source[spanned.span().byte_range()]
    }

    /// Only what runs is mutated: constants are checked by the compiler.
    fn runs(&self) -> bool {
        !self.functions.is_empty()
    }

    fn add(&mut self, at: &impl Spanned, form: Form, alternatives: Vec<(String, String)>) {
        let range = at.span().byte_range();
        let line = at.span().start().line;
        self.add_at(range, line, form, alternatives);
    }

    fn add_at(
        &mut self,
        range: Range<usize>,
        line: usize,
        form: Form,
        alternatives: Vec<(String, String)>,
    ) {
        if !self.runs() || alternatives.is_empty() {
            return;
        }
        let function = self.functions.join("::");
        let mutants = alternatives
            .into_iter()
            .map(|(what, text)| {
                self.next += 1;
                Mutant { id: self.next - 1, line, function: function.clone(), what, text }
            })
            .collect();
        self.sites.push(Site { range, form, mutants });
    }

    fn function(&mut self, name: &syn::Ident, output: &ReturnType, block: &syn::Block) {
        self.functions.push(name.to_string());
        let brace = block.brace_token.span.open().byte_range().end;
        let line = block.brace_token.span.open().start().line;
        let values = match output {
            ReturnType::Default if block.stmts.len() > 1 => vec![String::from("()")],
            // With one statement, leaving it out is the same.
            ReturnType::Default => vec![],
            ReturnType::Type(_, output) => values(output),
        };
        let alternatives = values
            .into_iter()
            .filter(|value| block.stmts.len() != 1 || *value != self.text(&block.stmts[0]).trim())
            .map(|value| (format!("return {value} at once"), format!("return {value};")))
            .collect();
        self.add_at(brace..brace, line, Form::Body, alternatives);
        visit::visit_block(self, block);
        self.functions.pop();
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

/// Whether a `let` stands in a chain of conditions, which only an `if` may hold.
fn has_let(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        Expr::Paren(inner) => has_let(&inner.expr),
        _ => false,
    }
}

/// Plausible wrong values of a type.
fn values(output: &Type) -> Vec<String> {
    let list = |values: &[&str]| values.iter().map(ToString::to_string).collect();
    match output {
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else { return vec![] };
            let inner = || match &last.arguments {
                syn::PathArguments::AngleBracketed(arguments) => {
                    arguments.args.iter().find_map(|argument| match argument {
                        syn::GenericArgument::Type(inner) => Some(values(inner)),
                        _ => None,
                    })
                }
                _ => None,
            };
            match last.ident.to_string().as_str() {
                "bool" => list(&["true", "false"]),
                "u8" | "u16" | "u32" | "u64" | "usize" | "i64" | "i32" => list(&["0", "1"]),
                "String" => list(&["alloc::string::String::new()", "\"xyzzy\".into()"]),
                "Option" => {
                    let mut all = list(&["None"]);
                    all.extend(inner().unwrap_or_default().iter().map(|it| format!("Some({it})")));
                    all
                }
                "Vec" => {
                    let mut all = list(&["alloc::vec::Vec::new()"]);
                    all.extend(
                        inner().unwrap_or_default().iter().map(|it| format!("alloc::vec![{it}]")),
                    );
                    all
                }
                "Result" => {
                    inner().unwrap_or_default().iter().map(|it| format!("Ok({it})")).collect()
                }
                "Self" | "Verdict" | "Outcome" | "State" => vec![],
                _ => list(&["Default::default()"]),
            }
        }
        Type::Reference(reference) => match reference.elem.as_ref() {
            Type::Path(path) if path.path.is_ident("str") => list(&["\"\"", "\"xyzzy\""]),
            _ => vec![],
        },
        Type::Tuple(tuple) if tuple.elems.is_empty() => list(&["()"]),
        _ => vec![],
    }
}

/// What is only said to people is not held to its words.
fn is_log(statement: &str) -> bool {
    ["LogLine", "Effect::Log", ".log("].iter().any(|word| statement.contains(word))
}

fn operators(operator: &BinOp) -> &'static [&'static str] {
    match operator {
        BinOp::Eq(_) => &["!="],
        BinOp::Ne(_) => &["=="],
        BinOp::Lt(_) => &["<=", ">", "=="],
        BinOp::Le(_) => &["<", ">"],
        BinOp::Gt(_) => &[">=", "<", "=="],
        BinOp::Ge(_) => &[">", "<"],
        BinOp::And(_) => &["||"],
        BinOp::Or(_) => &["&&"],
        BinOp::Add(_) => &["-", "*"],
        BinOp::Sub(_) => &["+", "/"],
        BinOp::Mul(_) => &["+", "/"],
        BinOp::Div(_) => &["%", "*"],
        BinOp::Rem(_) => &["/", "+"],
        BinOp::BitAnd(_) => &["|"],
        BinOp::BitOr(_) => &["&"],
        BinOp::Shl(_) => &[">>"],
        BinOp::Shr(_) => &["<<"],
        BinOp::AddAssign(_) => &["-=", "*="],
        BinOp::SubAssign(_) => &["+="],
        BinOp::MulAssign(_) => &["+="],
        BinOp::BitOrAssign(_) => &["&="],
        BinOp::BitAndAssign(_) => &["|="],
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}

    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}

    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}

    fn visit_type(&mut self, _: &'ast Type) {}

    fn visit_pat(&mut self, _: &'ast syn::Pat) {}

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let debug = item.trait_.as_ref().is_some_and(|(_, path, _)| {
            path.segments.last().is_some_and(|segment| segment.ident == "Debug")
        });
        if !debug && !is_test(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if item.sig.constness.is_none() && !is_test(&item.attrs) {
            self.function(&item.sig.ident, &item.sig.output, &item.block);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if item.sig.constness.is_none() && !is_test(&item.attrs) {
            self.function(&item.sig.ident, &item.sig.output, &item.block);
        }
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        // A call or an assignment for its effect alone.
        if let Stmt::Expr(expression, Some(_)) = statement
            && matches!(expression, Expr::MethodCall(_) | Expr::Call(_) | Expr::Assign(_))
            && !is_log(self.text(statement))
        {
            let words: Vec<&str> = self.text(statement).split_whitespace().collect();
            let mut shown = words.join(" ");
            if shown.chars().count() > 60 {
                shown = shown.chars().take(57).collect::<String>() + "...";
            }
            let what = format!("leave out `{shown}`");
            self.add(statement, Form::Statement, vec![(what, String::new())]);
        }
        visit::visit_stmt(self, statement);
    }

    fn visit_expr(&mut self, expression: &'ast Expr) {
        match expression {
            Expr::Binary(binary) if !has_let(expression) => {
                let (left, right) = (self.text(&binary.left), self.text(&binary.right));
                let operator = self.text(&binary.op).to_string();
                let alternatives = operators(&binary.op)
                    .iter()
                    .map(|other| {
                        (format!("replace {operator} with {other}"), format!("({left}) {other} ({right})"))
                    })
                    .collect();
                self.add(expression, Form::Expression, alternatives);
            }
            Expr::Unary(unary) if matches!(unary.op, UnOp::Not(_) | UnOp::Neg(_)) => {
                let operator = self.text(&unary.op).to_string();
                let operand = self.text(&unary.expr).to_string();
                self.add(
                    expression,
                    Form::Expression,
                    vec![(format!("delete {operator}"), operand)],
                );
            }
            Expr::Match(it) => {
                let is_rest = |pattern: &syn::Pat| match pattern {
                    syn::Pat::Wild(_) => true,
                    syn::Pat::Ident(name) => {
                        name.subpat.is_none()
                            && name.ident.to_string().starts_with(char::is_lowercase)
                    }
                    _ => false,
                };
                let has_rest =
                    it.arms.iter().any(|arm| arm.guard.is_none() && is_rest(&arm.pat));
                for arm in &it.arms {
                    let words: Vec<&str> = self.text(&arm.pat).split_whitespace().collect();
                    let shown = words.join(" ");
                    if let Some((_, guard)) = &arm.guard {
                        if !has_let(guard) {
                            let alternatives = ["true", "false"]
                                .iter()
                                .map(|value| {
                                    let what = format!("guard of `{shown}` always {value}");
                                    (what, value.to_string())
                                })
                                .collect();
                            self.add(guard.as_ref(), Form::Expression, alternatives);
                        }
                    } else if has_rest && !is_rest(&arm.pat) {
                        let end = arm.pat.span().byte_range().end;
                        let line = arm.pat.span().start().line;
                        let what = format!("delete the arm `{shown}`");
                        self.add_at(end..end, line, Form::Arm, vec![(what, String::new())]);
                    }
                }
            }
            _ => {}
        }
        visit::visit_expr(self, expression);
    }
}
