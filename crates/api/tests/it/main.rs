//! The server from outside: a real socket, raw HTTP, a fixed clock, the in-memory storage.

mod client;
mod connections;
mod endpoints;
mod errors;
mod governance;
mod line_protocols;
mod listening;
mod plans;
mod pushing;
mod queries;
mod server;
mod starting;
mod storage_admin;
mod ui;
