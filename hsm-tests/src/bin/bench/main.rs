//! `make bench`: one table, everything in it measured in this run, with the peers beside us.
//!
//! Each row but the start-up's is measured in rounds, and in each round everybody takes a turn, so that a machine that slows
//! down slows all of them. What stands in the table is the median over the rounds, and ratios are medians of the rounds' own
//! ratios. Sizes can be made smaller for a quick look: `bench --quick`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "the table is what the program is for")]

mod bulk;
mod driver;
mod key_service;
mod mail_service;
mod module_process;
mod p11_kit;
mod startup;
mod statistics;
mod table;
mod world;

use anyhow::Result;

use crate::{table::Table, world::Scale};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["drive", rest @ ..] = arguments.as_slice() {
        return driver::serve(rest);
    }
    if let [module_process::DRIVE, rest @ ..] = arguments.as_slice() {
        return module_process::serve(rest);
    }
    if let [startup::DRIVE, rest @ ..] = arguments.as_slice() {
        return startup::serve(rest);
    }
    let scale = if arguments.contains(&"--quick") {
        Scale::QUICK
    } else {
        Scale::FULL
    };
    let wanted = |part: &str| {
        let named: Vec<_> = arguments.iter().filter(|each| !each.starts_with("--")).collect();
        named.is_empty() || named.iter().any(|each| **each == part)
    };
    let mut table = Table::default();
    if wanted("key-service") {
        key_service::measure(&scale, &mut table)?;
    }
    if wanted("module-process") {
        module_process::measure(&scale, &mut table)?;
    }
    if wanted("mail-service") {
        mail_service::measure(&scale, &mut table)?;
    }
    if wanted("bulk") {
        bulk::measure(&scale, &mut table)?;
    }
    if wanted("startup") {
        startup::measure(&scale, &mut table)?;
    }
    println!("{table}");
    Ok(())
}
