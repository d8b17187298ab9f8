//! Rust files: a module doc on top, files and functions of a readable size.

use syn::visit::Visit;

use super::Report;

/// Beyond this, a file should be split soon.
const FILE_LINES_WARN: usize = 500;
/// Beyond this, it must be.
const FILE_LINES_MAX: usize = 1_000;
/// Lines of code in a function, comments and blank lines apart.
const FUNCTION_LINES_MAX: usize = 70;

pub(crate) fn check(name: &str, text: &str, report: &mut Report) {
    if !text.trim_start().starts_with("//!") && !text.starts_with("#![no_main]") {
        report.faults.push(format!("{name}:1: begin with a `//!` doc: what it is for and how it fits"));
    }
    if is_test_file(name) {
        return;
    }
    let lines = production_lines(text);
    if lines > FILE_LINES_MAX {
        report
            .faults
            .push(format!("{name}: {lines} lines without tests; at most {FILE_LINES_MAX}, split it"));
    } else if lines > FILE_LINES_WARN {
        report.warnings.push(format!("{name}: {lines} lines without tests; more than {FILE_LINES_WARN}"));
    }
    match syn::parse_file(text) {
        Err(error) => report.faults.push(format!("{name}: not Rust: {error}")),
        Ok(file) => {
            let mut functions = Functions { name, lines: text.lines().collect(), report };
            functions.visit_file(&file);
        }
    }
}

fn is_test_file(name: &str) -> bool {
    name.starts_with("tests/")
        || name.starts_with("fuzz/")
        || ["/tests/", "/tests.rs", "/benches/"].iter().any(|part| name.contains(part))
}

/// Lines in front of the module of tests.
fn production_lines(text: &str) -> usize {
    let mut lines = text.lines().peekable();
    let mut count = 0;
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]"
            && lines.peek().is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'))
        {
            break;
        }
        count += 1;
    }
    count
}

struct Functions<'a> {
    name: &'a str,
    lines: Vec<&'a str>,
    report: &'a mut Report,
}

impl Functions<'_> {
    fn check(&mut self, function: &syn::Ident, attributes: &[syn::Attribute], block: &syn::Block) {
        if attributes.iter().any(|attribute| attribute.path().is_ident("expect"))
            && self.is_excused(attributes)
        {
            return;
        }
        let braces = block.brace_token.span;
        let (first, last) = (braces.open().start().line, braces.close().end().line);
        let body = self.lines.get(first..last.saturating_sub(1)).unwrap_or_default();
        let code = body
            .iter()
            .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with("//"))
            .count();
        if code > FUNCTION_LINES_MAX {
            self.report.faults.push(format!(
                "{}:{first}: function {function} has {code} lines; at most {FUNCTION_LINES_MAX}",
                self.name
            ));
        }
    }

    /// `#[expect(clippy::too_many_lines, reason = "…")]` says why a function is better in one piece.
    fn is_excused(&self, attributes: &[syn::Attribute]) -> bool {
        attributes.iter().any(|attribute| {
            let brackets = attribute.bracket_token.span;
            let (first, last) = (brackets.open().start().line, brackets.close().end().line);
            let lines = self.lines.get(first - 1..last).unwrap_or_default();
            lines.iter().any(|line| line.contains("too_many_lines"))
        })
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let is_test = module.attrs.iter().any(|attribute| {
            attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
        });
        if !is_test {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.check(&function.sig.ident, &function.attrs, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.check(&function.sig.ident, &function.attrs, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.check(&function.sig.ident, &function.attrs, block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(name: &str, text: &str) -> Report {
        let mut report = Report::default();
        check(name, text, &mut report);
        report
    }

    #[test]
    fn a_file_begins_with_its_purpose() {
        assert!(checked("a.rs", "//! Why.\nfn a() {}\n").faults.is_empty());
        assert!(checked("a.rs", "fn a() {}\n").faults[0].contains("begin with"));
    }

    #[test]
    fn long_functions_are_faults_unless_a_reason_is_given() {
        let body = "    let _a = 1;\n".repeat(71);
        let long = format!("//! Why.\nfn long() {{\n{body}}}\n");
        assert!(checked("a.rs", &long).faults[0].contains("function long has 71 lines"));
        let short = long.replacen("    let _a = 1;\n", "    // a comment\n\n", 1);
        assert!(checked("a.rs", &short).faults.is_empty());
        let excused =
            long.replace("fn long", "#[expect(clippy::too_many_lines, reason = \"a table\")]\nfn long");
        assert!(checked("a.rs", &excused).faults.is_empty());
        let method = format!("//! Why.\nstruct A;\nimpl A {{\nfn long(&self) {{\n{body}}}\n}}\n");
        assert_eq!(checked("a.rs", &method).faults.len(), 1);
    }

    #[test]
    fn tests_do_not_count() {
        let tests =
            format!("#[cfg(test)]\nmod tests {{\n    fn a() {{\n{}}}\n}}\n", "let _a = 1;\n".repeat(2_000));
        assert!(checked("a.rs", &format!("//! Why.\n{tests}")).faults.is_empty());
        assert!(
            checked("crates/a/src/b/tests.rs", &format!("//! Why.\n{}", "// x\n".repeat(3_000)))
                .faults
                .is_empty()
        );
        assert_eq!(checked("a.rs", &format!("//! Why.\n{}", "// x\n".repeat(1_000))).faults.len(), 1);
    }
}
