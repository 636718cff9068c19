//! Client library and command line.
#![forbid(unsafe_code)]
