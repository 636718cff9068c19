//! Pure S/MIME.
#![forbid(unsafe_code)]
