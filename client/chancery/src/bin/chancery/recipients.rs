//! Whom to encrypt to: addresses and files from the command line become certificates.

use std::path::Path;
use std::time::SystemTime;

use chancery::recipient::{Certificate, Directory};
use chancery::v1::{KeyManagementAlgorithm, RecipientCertificate};
use chancery::{Client, ErrorKind, name};

use crate::cli::encrypt::EncryptArgs;
use crate::command::call;
use crate::error::{CommandError, with_causes};
use crate::stdio;
use crate::text::printable;

/// The certificates of everybody who is to read the message, each once, in the order of the command line.
pub(crate) async fn certificates(
    client: &Client,
    args: &EncryptArgs,
    quiet: bool,
) -> Result<Vec<RecipientCertificate>, CommandError> {
    let directory = match &args.certificates {
        Some(path) => Some(read_directory(path, quiet)?),
        None => None,
    };
    let mut found: Vec<Certificate> = Vec::new();
    let mut add = |certificate: Certificate| {
        if found.iter().all(|other| other.der() != certificate.der()) {
            found.push(certificate);
        }
    };
    for address in args.to.iter().chain(&args.from) {
        add(find(client, directory.as_ref(), address).await?);
    }
    for path in &args.recipient_cert {
        add(Certificate::from_file(path).map_err(CommandError::Certificate)?);
    }
    let key_management = args.key_management.map(KeyManagementAlgorithm::from);
    Ok(found
        .into_iter()
        .map(|certificate| RecipientCertificate {
            key_management: key_management
                .filter(|chosen| suits(*chosen, &certificate))
                .unwrap_or_default()
                .into(),
            certificate: certificate.der().to_vec().into(),
        })
        .collect())
}

/// The daemon knows best: it holds the key, or its operator has put the certificate there. Then the directory.
async fn find(client: &Client, directory: Option<&Directory>, address: &str) -> Result<Certificate, CommandError> {
    let identity = name::identity(address);
    let mut refused = false;
    let mut looked = Vec::new();
    match client.identity(&identity).await {
        Ok(identity) => match identity
            .encryption
            .map(|key| Certificate::from_der(key.certificate.to_vec()))
        {
            Some(Ok(certificate)) => return Ok(certificate),
            Some(Err(_)) => looked.push(format!(
                "at {} of the daemon, whose certificate cannot be read",
                identity.name
            )),
            None => looked.push(format!(
                "at {} of the daemon, which has no current encryption key",
                identity.name
            )),
        },
        Err(error) => match error.kind() {
            ErrorKind::Refused => {
                refused = true;
                looked.push(format!(
                    "at {identity} of the daemon, which does not exist or is not for you to see"
                ));
            }
            ErrorKind::Unavailable | ErrorKind::Usage => {
                looked.push(format!("at {identity} of the daemon, which does not exist"));
            }
            _ => {
                return Err(call("look up the recipients")(error));
            }
        },
    }
    match directory {
        Some(directory) => {
            if let Some(certificate) = directory.find(address, SystemTime::now()) {
                return Ok(certificate.clone());
            }
            let unusable = match directory.count_for(address) {
                0 => "where no certificate is for that address".to_owned(),
                count => format!("where {count} for that address are expired, not yet valid or not for encryption"),
            };
            looked.push(format!("in {}, {unusable}", directory.path().display()));
        }
        None => looked.push("in no directory, because --certificates is not given".to_owned()),
    }
    Err(CommandError::NoCertificate {
        address: address.to_owned(),
        looked,
        refused,
    })
}

fn read_directory(path: &Path, quiet: bool) -> Result<Directory, CommandError> {
    let directory = Directory::read(path).map_err(CommandError::Directory)?;
    if !quiet {
        for skipped in directory.skipped() {
            stdio::complain(&format!("passed over: {}", printable(&with_causes(&skipped.error))));
        }
    }
    Ok(directory)
}

/// Key transport is for RSA keys, key agreement for the others. Who is not suited gets the daemon's choice.
fn suits(key_management: KeyManagementAlgorithm, certificate: &Certificate) -> bool {
    match key_management {
        KeyManagementAlgorithm::RsaPkcs1 | KeyManagementAlgorithm::RsaOaep => certificate.has_rsa_key(),
        KeyManagementAlgorithm::Ecdh => !certificate.has_rsa_key(),
        KeyManagementAlgorithm::Unspecified => false,
    }
}
