//! Requests on a connection.

use marketprism_core::venue::Opening;
use marketprism_parse::json::push_string;

use crate::credentials::Credentials;

/// Answer to the venue's `test_request`. Its own answer has the id 0, which no other request has.
pub(crate) const TEST: &str = r#"{"jsonrpc":"2.0","id":0,"method":"public/test","params":{}}"#;

/// The venue's code for a raw channel that was asked for without authentication.
const RAW_NEEDS_AUTHENTICATION: &str = "13778";

/// Authentication where there are credentials, then heartbeats, every 10 s: the most often that the venue sends them.
pub(crate) fn opening(credentials: Option<&Credentials>, first_id: u64) -> Vec<Opening> {
    let mut requests = Vec::new();
    if let Some(credentials) = credentials {
        let mut parameters = String::from("\"grant_type\":\"client_credentials\",\"client_id\":");
        push_string(&mut parameters, credentials.client_id());
        parameters.push_str(",\"client_secret\":");
        push_string(&mut parameters, credentials.client_secret());
        let text = request(first_id, "public/auth", &parameters);
        requests.push(Opening { text, purpose: "authentication" });
    }
    let id = first_id.saturating_add(requests.len() as u64);
    let text = request(id, "public/set_heartbeat", "\"interval\":10");
    requests.push(Opening { text, purpose: "heartbeat" });
    requests
}

/// The text of a request for channels.
pub(crate) fn channels(request_id: u64, method: &str, streams: &[&str]) -> String {
    let mut parameters = String::from("\"channels\":[");
    for (index, stream) in streams.iter().enumerate() {
        if index > 0 {
            parameters.push(',');
        }
        push_string(&mut parameters, stream);
    }
    parameters.push(']');
    request(request_id, method, &parameters)
}

fn request(id: u64, method: &str, parameters: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{{{parameters}}}}}")
}

/// The 100 ms channel in place of a raw one that needs authentication.
pub(crate) fn fallback(stream: &str, reason: &str) -> Option<String> {
    let refused = reason.split_whitespace().next() == Some(RAW_NEEDS_AUTHENTICATION);
    let name = stream.strip_suffix(".raw").filter(|_| refused)?;
    Some(format!("{name}.100ms"))
}
