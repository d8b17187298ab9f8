//! A program with metrics: `cargo run -p kymo-client --example jobs -- 127.0.0.1:9200` answers scrapes there, and with
//! `--push http://localhost:9090` it pushes instead. It ends when its standard input does.

use std::io::Read;

use kymo_client::push::{Push, Settings};
use kymo_client::serve::Server;
use kymo_client::{Buckets, Registry};

#[expect(clippy::print_stdout, reason = "a program on a terminal")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::new();
    let done = registry.counter_family("jobs_total", "Jobs that were done.", ["queue"])?;
    let waiting = registry.gauge("jobs_waiting", "Jobs that wait.")?;
    let took = registry.histogram("job_seconds", "How long a job took.", Buckets::native())?;
    let sizes =
        registry.histogram("job_bytes", "How large a job was.", Buckets::Classic(vec![100.0, 1e4]))?;

    done.with(["mail"]).add_with_exemplar(3, &[("trace_id", "4bf92f3577b34da6")]);
    done.with(["print"]).inc();
    waiting.set(2.0);
    for seconds in [0.018, 0.02, 0.5, 3.0] {
        took.observe(seconds);
    }
    sizes.observe_with_exemplar(512.0, &[("trace_id", "00f067aa0ba902b7")]);

    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (_server, _push) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--push", url] => (None, Some(Push::start(registry, Settings::new(url, "jobs"))?)),
        [address] => (Some(Server::start(address, registry)?), None),
        _ => return Err("say where to listen, or --push URL".into()),
    };
    if let Some(server) = &_server {
        println!("http://{}/metrics", server.address());
    }
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
