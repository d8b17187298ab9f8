//! Tells cargo to embed the UI again when its build changes, and lets the crate build where there is none.

fn main() {
    let dist = std::path::Path::new("../../web/dist");
    if let Err(error) = std::fs::create_dir_all(dist) {
        // The folder only has to exist so that cargo can watch it; without it the built-in page is served.
        println!("cargo::warning=cannot create {}: {error}", dist.display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../web/dist");
}
