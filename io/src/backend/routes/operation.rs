//! An operation: a method at a path, with all that a reader of the API has to know of it. The router
//! and the OpenAPI document are made of the same list, so that neither has what the other lacks.

use axum::Router;
use axum::handler::Handler;
use axum::http::{Method, StatusCode};
use axum::routing::{MethodFilter, MethodRouter, on};
use satellite_core::backend::roles::Permission;
use schemars::{JsonSchema, Schema, SchemaGenerator};

/// The schema of one type, in whatever document it is asked for.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Who may call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody.
    Open,
    /// Who holds a registration token.
    Registration,
    /// A satellite, with its key.
    Satellite,
    /// A satellite about itself, and the administrator.
    SatelliteOrAdministrator,
    /// Whom the permission lets in.
    Administration(Permission),
}

/// What it answers when it did what was asked.
#[derive(Clone, Copy)]
pub(super) struct Shows {
    pub(super) status: StatusCode,
    pub(super) content: Content,
}

/// What a reply holds.
#[derive(Clone, Copy)]
pub(super) enum Content {
    /// `{success, data, message}`.
    Data(SchemaOf),
    /// JSON of its own shape.
    Json(SchemaOf),
    /// JSON that this program does not write by a type.
    Document,
    /// A text of this media type.
    Text(&'static str),
}

impl Shows {
    /// 200 with `data`.
    pub(super) fn data<T: JsonSchema>() -> Shows {
        Shows { status: StatusCode::OK, content: Content::Data(schema_of::<T>) }
    }

    /// 201 with `data`.
    pub(super) fn made<T: JsonSchema>() -> Shows {
        Shows { status: StatusCode::CREATED, content: Content::Data(schema_of::<T>) }
    }

    /// 200 with `T`.
    pub(super) fn json<T: JsonSchema>() -> Shows {
        Shows { status: StatusCode::OK, content: Content::Json(schema_of::<T>) }
    }

    /// 200 with JSON of no type.
    pub(super) fn document() -> Shows {
        Shows { status: StatusCode::OK, content: Content::Document }
    }

    /// 200 with a page.
    pub(super) fn page() -> Shows {
        Shows::text("text/html")
    }

    /// 200 with a text of this media type.
    pub(super) fn text(kind: &'static str) -> Shows {
        Shows { status: StatusCode::OK, content: Content::Text(kind) }
    }
}

/// A method at a path.
#[derive(Clone)]
pub(super) struct Operation<S = ()> {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) access: Access,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) query: Option<SchemaOf>,
    /// The body, and whether it must be there.
    pub(super) body: Option<(SchemaOf, bool)>,
    pub(super) shows: Shows,
    /// What it answers beside that and what every operation of its kind may answer.
    pub(super) others: Vec<(StatusCode, &'static str)>,
    methods: MethodRouter<S>,
}

impl<S: Clone + Send + Sync + 'static> Operation<S> {
    fn new<T: 'static>(
        (method, filter): (Method, MethodFilter),
        path: &str,
        access: Access,
        summary: &'static str,
        shows: Shows,
        handler: impl Handler<T, S>,
    ) -> Operation<S> {
        Operation {
            method,
            path: path.to_owned(),
            access,
            tag: "",
            summary,
            query: None,
            body: None,
            shows,
            others: Vec::new(),
            methods: on(filter, handler),
        }
    }

    pub(super) fn get<T: 'static>(
        path: &str,
        access: Access,
        summary: &'static str,
        shows: Shows,
        handler: impl Handler<T, S>,
    ) -> Operation<S> {
        Operation::new((Method::GET, MethodFilter::GET), path, access, summary, shows, handler)
    }

    pub(super) fn post<T: 'static>(
        path: &str,
        access: Access,
        summary: &'static str,
        shows: Shows,
        handler: impl Handler<T, S>,
    ) -> Operation<S> {
        Operation::new((Method::POST, MethodFilter::POST), path, access, summary, shows, handler)
    }

    pub(super) fn put<T: 'static>(
        path: &str,
        access: Access,
        summary: &'static str,
        shows: Shows,
        handler: impl Handler<T, S>,
    ) -> Operation<S> {
        Operation::new((Method::PUT, MethodFilter::PUT), path, access, summary, shows, handler)
    }

    pub(super) fn patch<T: 'static>(
        path: &str,
        access: Access,
        summary: &'static str,
        shows: Shows,
        handler: impl Handler<T, S>,
    ) -> Operation<S> {
        Operation::new((Method::PATCH, MethodFilter::PATCH), path, access, summary, shows, handler)
    }

    pub(super) fn delete<T: 'static>(
        path: &str,
        access: Access,
        summary: &'static str,
        shows: Shows,
        handler: impl Handler<T, S>,
    ) -> Operation<S> {
        Operation::new(
            (Method::DELETE, MethodFilter::DELETE),
            path,
            access,
            summary,
            shows,
            handler,
        )
    }

    /// The same with a body that must be there.
    pub(super) fn takes<T: JsonSchema>(self) -> Operation<S> {
        Operation { body: Some((schema_of::<T>, true)), ..self }
    }

    /// The same with a body that may be left out.
    pub(super) fn may_take<T: JsonSchema>(self) -> Operation<S> {
        Operation { body: Some((schema_of::<T>, false)), ..self }
    }

    /// The same with query parameters.
    pub(super) fn asks<T: JsonSchema>(self) -> Operation<S> {
        Operation { query: Some(schema_of::<T>), ..self }
    }

    /// The same with one more answer.
    pub(super) fn or(mut self, status: StatusCode, when: &'static str) -> Operation<S> {
        self.others.push((status, when));
        self
    }

    /// Puts it into `router`, with what `layered` lays around it.
    pub(super) fn serve(
        self,
        router: Router<S>,
        layered: impl Fn(&Operation<S>, MethodRouter<S>) -> MethodRouter<S>,
    ) -> Router<S> {
        let methods = layered(&self, self.methods.clone());
        router.route(&self.path, methods)
    }

    /// What of it the document is made of.
    pub(super) fn told(self) -> Operation {
        Operation {
            method: self.method,
            path: self.path,
            access: self.access,
            tag: self.tag,
            summary: self.summary,
            query: self.query,
            body: self.body,
            shows: self.shows,
            others: self.others,
            methods: MethodRouter::new(),
        }
    }
}

/// Operations under one heading.
pub(super) fn about<S>(tag: &'static str, operations: Vec<Operation<S>>) -> Vec<Operation<S>> {
    operations.into_iter().map(|operation| Operation { tag, ..operation }).collect()
}
