//! Reading and checking `chanceryd.toml`.
#![no_main]

use std::path::Path;

use chanceryd::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = Config::parse(text, Path::new("chanceryd.toml")) {
        assert!(!error.to_string().is_empty());
    }
});
