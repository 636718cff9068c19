//! Reading the URIs of tokens; what is read is written so that it reads the same.
#![no_main]

use chancery_token::TokenUri;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(uri) = text.parse::<TokenUri>() {
        let written = uri.to_string();
        assert!(written.parse::<TokenUri>().is_ok_and(|again| again == uri), "{written}");
    }
});
