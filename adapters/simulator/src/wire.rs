//! WebSocket frames of a server: headers without a mask, and control frames.

/// Opcode of a text frame.
pub(crate) const TEXT: u8 = 1;
/// Opcode of a close frame.
pub(crate) const CLOSE: u8 = 8;
/// Opcode of a ping frame.
pub(crate) const PING: u8 = 9;
/// Opcode of a pong frame.
pub(crate) const PONG: u8 = 10;

/// The header of an unfragmented frame, and its length: 2, 4 or 10 bytes.
pub(crate) fn header(opcode: u8, length: usize) -> ([u8; 10], usize) {
    let mut head = [0; 10];
    head[0] = 0x80 | opcode;
    if length < 126 {
        head[1] = length as u8;
        (head, 2)
    } else if let Ok(short) = u16::try_from(length) {
        head[1] = 126;
        head[2..4].copy_from_slice(&short.to_be_bytes());
        (head, 4)
    } else {
        head[1] = 127;
        head[2..10].copy_from_slice(&(length as u64).to_be_bytes());
        (head, 10)
    }
}

/// Appends a whole frame.
pub(crate) fn push(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    let (head, length) = header(opcode, payload.len());
    out.extend_from_slice(&head[..length]);
    out.extend_from_slice(payload);
}

/// Appends a text frame of three parts.
pub(crate) fn push_wrapped(out: &mut Vec<u8>, prefix: &[u8], payload: &[u8]) {
    let (head, length) = header(TEXT, prefix.len() + payload.len() + 1);
    out.extend_from_slice(&head[..length]);
    out.extend_from_slice(prefix);
    out.extend_from_slice(payload);
    out.push(b'}');
}

/// Appends a close frame.
pub(crate) fn push_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(reason.as_bytes());
    push(out, CLOSE, &payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_three_sizes() {
        assert_eq!(header(TEXT, 125).1, 2);
        assert_eq!(&header(TEXT, 126).0[..4], &[0x81, 126, 0, 126]);
        assert_eq!(header(TEXT, 65_535).1, 4);
        assert_eq!(&header(TEXT, 65_536).0, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
