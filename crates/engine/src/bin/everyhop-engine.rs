//! `everyhop-engine --plan FILE --material FILE`: the engine without its supervisor, for bench and tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [plan, plan_file, material, material_file] = arguments.as_slice() else { return usage() };
    if plan != "--plan" || material != "--material" {
        return usage();
    }
    match (std::fs::read_to_string(plan_file), std::fs::read_to_string(material_file)) {
        (Ok(plan), Ok(material)) => everyhop_engine::develop(plan.trim_end(), &material),
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
