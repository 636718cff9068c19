//! Decrypting, and with that reading EnvelopedData, AuthEnvelopedData and recipient infos. The seeds in fuzz/seeds/decrypt
//! were made under the key that this target answers with.
#![no_main]

use chancery_fuzz::{FortyTwo, both_ways};
use chancery_smime::decrypt::{DecryptError, Decrypting, Finished, KeyRequest, Output, Progress};
use chancery_smime::limits::Limits;
use libfuzzer_sys::fuzz_target;
use zeroize::Zeroizing;

fn decrypt(pieces: &[&[u8]]) -> Result<Vec<u8>, DecryptError> {
    let mut machine = Decrypting::begin(Limits::default());
    let mut output = Output::default();
    for piece in pieces {
        if let Progress::NeedsKey(request) = machine.push(piece, &mut output)? {
            try_secrets(&request);
            machine.answer(request.content_key(usize::MAX, None, &mut FortyTwo), &mut output)?;
        }
    }
    if let Finished::Release(mut release) = machine.finish(&mut output)? {
        // Nothing of the content is released before the tag is checked; the outer header fields were never secret.
        let released = &output.plaintext;
        assert!(released.is_empty() || released.ends_with(b"MIME-Version: 1.0\r\n"));
        release.push(&output.held, &mut output.plaintext)?;
        assert!(release.finish().authenticated);
    }
    Ok(output.plaintext)
}

/// What a token may come back with.
fn try_secrets(request: &KeyRequest) {
    for (index, candidate) in request.candidates.iter().enumerate().take(3) {
        let _operation = (candidate.operation(), candidate.key_management());
        for len in [0, request.content_encryption.key_len(), 48, 66] {
            let _key = request.content_key(index, Some(Zeroizing::new(vec![7; len])), &mut FortyTwo);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let [whole, pieces] = both_ways(data).map(|pieces| decrypt(&pieces).map_err(drop));
    assert_eq!(whole, pieces);
});
