//! The engine from outside: through the two doors of `storage`, and files on disk, real and simulated.

#![expect(clippy::print_stdout, reason = "what a run covered belongs in its output")]

mod bench;
mod conformance;
mod crash_matrix;
mod crash_upkeep;
mod damage;
mod deletes;
mod engine;
mod faults;
mod golden;
mod memory;
mod recording;
mod recovery;
mod simulation;
mod slow_disk;
mod snapshots;
mod testbed;

#[test]
fn every_file_here_is_a_module() {
    let main = include_str!("main.rs");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it")).expect("listed") {
        let name = entry.expect("listed").file_name().into_string().expect("utf-8");
        let module = name.strip_suffix(".rs").expect("only source files here");
        assert!(module == "main" || main.contains(&format!("mod {module};")), "{name} is not compiled");
    }
}
