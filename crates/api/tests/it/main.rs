//! The server from outside: a real socket, raw HTTP, a fixed clock, the in-memory storage.

mod client;
mod connections;
mod endpoints;
mod errors;
mod governance;
mod line_protocols;
mod listening;
mod otlp;
mod plans;
mod pushing;
mod queries;
mod remote_write2;
mod server;
mod starting;
mod storage_admin;
mod ui;
