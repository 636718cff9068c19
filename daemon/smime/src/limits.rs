//! Bounds on what is read: no length, count or depth that comes from a message is taken on trust. Nothing else lives here.

/// What a message may take up before it is refused. The content itself is not limited: it passes in constant memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The header section of one entity, in bytes.
    pub header_len: usize,
    /// MIME entities or CMS elements inside one another.
    pub nesting: usize,
    /// One element of a CMS object that is held in memory (recipient infos, certificates, signer infos), in bytes.
    pub cms_element_len: usize,
    /// Recipient infos of one layer.
    pub recipients: usize,
    /// Signer infos of one layer.
    pub signers: usize,
    /// Certificates of one layer.
    pub certificates: usize,
    /// Bytes that may be looked at before it is decided how a body is encoded.
    pub lookahead_len: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_len: 256 * 1024,
            nesting: 32,
            cms_element_len: 1024 * 1024,
            recipients: 1000,
            signers: 64,
            certificates: 256,
            lookahead_len: 64 * 1024,
        }
    }
}
