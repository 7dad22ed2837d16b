//! What raw channels need.

/// An API key of the venue. Neither part is ever shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    client_id: String,
    client_secret: String,
}

impl Credentials {
    /// A key from its two parts.
    pub fn new(client_id: impl Into<String>, client_secret: impl Into<String>) -> Credentials {
        Credentials { client_id: client_id.into(), client_secret: client_secret.into() }
    }

    /// The key in `MARKETPRISM_DERIBIT_CLIENT_ID` and `MARKETPRISM_DERIBIT_CLIENT_SECRET`; `None` unless both are
    /// set and not empty.
    pub fn from_environment() -> Option<Credentials> {
        let read = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let client_id = read("MARKETPRISM_DERIBIT_CLIENT_ID")?;
        let client_secret = read("MARKETPRISM_DERIBIT_CLIENT_SECRET")?;
        Some(Credentials { client_id, client_secret })
    }

    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    pub(crate) fn client_secret(&self) -> &str {
        &self.client_secret
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Credentials(hidden)")
    }
}
