//! What people, servers and clients get wrong: each gets an error that says what to do next, and
//! everybody else goes on.

mod children;
mod clients;
mod remotes;
mod starting;
