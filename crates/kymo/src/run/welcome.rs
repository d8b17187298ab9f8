//! What is printed when the server is ready: where it is, and what to look at.

use std::io::Write;
use std::net::SocketAddr;

use super::Role;
use super::server::Server;

/// The address that a person on this machine would open.
pub(super) fn address(listens: SocketAddr) -> String {
    let host = match listens.ip() {
        ip if ip.is_unspecified() || ip.is_loopback() => "localhost".to_owned(),
        ip if ip.is_ipv6() => format!("[{ip}]"),
        ip => ip.to_string(),
    };
    format!("http://{host}:{}", listens.port())
}

/// Prints it, and logs what the configuration asks for and will not happen.
pub(super) fn print(server: &Server, address: &str) -> std::io::Result<()> {
    let (jobs, host) = server.watched();
    let watching = match (server.options.config.is_some(), host) {
        (false, _) => "this machine and Kymo itself".to_owned(),
        (true, true) => format!("this machine, and {jobs} of the configuration"),
        (true, false) => format!("{jobs} of the configuration"),
    };
    let version = crate::version::VERSION;
    let data = server.options.data.display();
    let mut out = std::io::stdout().lock();
    if server.options.role == Role::Agent {
        let receivers: Vec<String> =
            server.receivers().iter().map(|receiver| receiver.url.to_string()).collect();
        writeln!(out, "\nKymo agent {version} is ready: {address}\n")?;
        writeln!(out, "  watching     {watching}")?;
        writeln!(out, "  sending to   {}", receivers.join(", "))?;
        writeln!(out, "  queues       {data}")?;
        writeln!(out, "  look at      {address}/targets  what is watched, and how it is\n")?;
        return out.flush();
    }
    writeln!(out, "\nKymo {version} is ready: {address}\n")?;
    writeln!(out, "  watching     {watching}")?;
    writeln!(out, "  data         {data}, kept {}", server.retention_text())?;
    writeln!(out, "  look at      {address}          queries and graphs")?;
    writeln!(out, "               {address}/targets  what is watched, and how it is")?;
    writeln!(out, "  or ask       kymo query instant --url {address} 'up'\n")?;
    out.flush()
}
