//! `everyhop-engine --plan FILE --material FILE`: the engine without its supervisor, for bench and tests.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

const TUNABLES: &str = "GLIBC_TUNABLES";

fn main() -> ExitCode {
    if std::env::var_os(TUNABLES).is_none() {
        // As the supervisor starts it; the C library reads this only at the start of a process.
        let failed = Command::new("/proc/self/exe")
            .args(std::env::args_os().skip(1))
            .env(TUNABLES, everyhop_control::LIBC_TUNABLES)
            .exec();
        eprintln!("everyhop-engine: {failed}; going on");
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [plan, plan_file, material, material_file] = arguments.as_slice() else { return usage() };
    if plan != "--plan" || material != "--material" {
        return usage();
    }
    match (std::fs::read_to_string(plan_file), std::fs::read_to_string(material_file)) {
        (Ok(plan), Ok(material)) => everyhop_control::develop(plan.trim_end(), &material),
        _ => {
            eprintln!("everyhop-engine: cannot read {plan_file} or {material_file}");
            ExitCode::from(4)
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: everyhop-engine --plan FILE --material FILE");
    ExitCode::from(2)
}
