//! The program's own code in memory: what only the start needed need not stay mapped.

use std::ffi::c_void;
use std::io;

use rustix::mm::{Advice, madvise};

/// Unmaps the pages of the program's code and constants, and answers how many bytes of address space that was.
///
/// A process has each piece of its program mapped that it ever came by, together with the 64 KiB around it, so that after
/// reading configuration, opening files and replaying most of the program counts as the process' memory, of which it uses a tenth
/// from then on. To be called once, when the start is over. Nothing is read from disk again for it: the pages stay in the
/// system's cache, and whoever runs through them maps them again, at the cost of a minor fault for each 64 KiB.
///
/// # Errors
/// If Linux does not say what is mapped, or refuses the advice; nothing has changed for the worse then.
pub fn unmap_code() -> io::Result<usize> {
    let program = std::fs::read_link("/proc/self/exe")?;
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let mut unmapped_bytes = 0;
    for (start, end) in code_of(&maps, &program.to_string_lossy()) {
        let length = end - start;
        // SAFETY: the first segment of a program (headers, constants) and its code are never writable and hold what the file
        // holds: code is position-independent, and what the loader relocates lies in segments after the code, which `code_of`
        // leaves alone. With its pages dropped, the next use of any address maps the same bytes of the same file again,
        // in this thread too, which runs in one of them. The kernel does not let a file be written that is being run. The bounds
        // come from the kernel, and nothing unmaps the program.
        #[expect(unsafe_code, reason = "the advice that drops pages is unsafe for memory in general")]
        unsafe {
            madvise(std::ptr::without_provenance_mut::<c_void>(start), length, Advice::LinuxDontNeed)?;
        }
        unmapped_bytes += length;
    }
    Ok(unmapped_bytes)
}

/// Beginning and end of the mappings of `program` that nothing ever writes: its first segment (offset 0, only read), and code.
/// A line is `start-end perms offset device inode path`, proc(5).
fn code_of(maps: &str, program: &str) -> Vec<(usize, usize)> {
    let path = format!(" {program}");
    let code = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let (permissions, offset) = (fields.next()?, fields.next()?);
        let constant =
            permissions == "r-xp" || (permissions == "r--p" && offset.bytes().all(|digit| digit == b'0'));
        (constant && line.ends_with(&path)).then_some(())?;
        Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
    };
    maps.lines().filter_map(code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_never_written_of_the_program_is_taken() {
        let maps = "\
55d0c0000000-55d0c0600000 r--p 00000000 fe:00 10513777                   /usr/bin/kymo
55d0c0600000-55d0c1700000 r-xp 005ff000 fe:00 10513777                   /usr/bin/kymo
55d0c1700000-55d0c1780000 r--p 016fe000 fe:00 10513777                   /usr/bin/kymo
55d0c1780000-55d0c1789000 rw-p 0177d000 fe:00 10513777                   /usr/bin/kymo
55d0c2000000-55d0c2021000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000155000 r-xp 00026000 fe:00 131                        /usr/lib/x86_64-linux-gnu/libc.so.6
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]
";
        let (constants, code) = ((0x55d0_c000_0000, 0x55d0_c060_0000), (0x55d0_c060_0000, 0x55d0_c170_0000));
        assert_eq!(code_of(maps, "/usr/bin/kymo"), [constants, code]);
        assert_eq!(code_of(maps, "/usr/bin/other"), []);
        assert_eq!(code_of(&maps.replace("/usr/bin", "/opt/my servers"), "/opt/my servers/kymo").len(), 2);
    }

    #[test]
    fn the_program_goes_on_with_its_code_unmapped() {
        let unmapped_bytes = unmap_code().expect("this process may");
        assert!(unmapped_bytes > 64 << 10, "{unmapped_bytes} are less than this test");
        let sum: u64 = (0..1000u64).map(|n| n.wrapping_mul(n)).sum();
        assert_eq!(sum, 332_833_500);
        assert!("[".parse::<f64>().is_err());
    }
}
