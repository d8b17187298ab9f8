//! What a client is told: `ExportMetricsServiceResponse` and `google.rpc.Status`, in the encoding it speaks.

use crate::protobuf::Writer;

/// In which encoding a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`
    Protobuf,
    /// `application/json`
    Json,
}

impl Encoding {
    /// The `Content-Type` of what is in it.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// All is well, but for so many points; `message` says why (or, without refused points, what the client should know).
pub fn success(encoding: Encoding, rejected_points: u64, message: &str) -> Vec<u8> {
    let is_full = rejected_points == 0 && message.is_empty();
    match encoding {
        Encoding::Protobuf if is_full => Vec::new(),
        Encoding::Protobuf => {
            let (mut partial, mut response) = (Writer::new(), Writer::new());
            partial.varint(1, rejected_points);
            partial.string(2, message);
            response.bytes(1, partial.as_bytes());
            response.as_bytes().to_vec()
        }
        Encoding::Json if is_full => b"{}".to_vec(),
        Encoding::Json => {
            // By protobuf's JSON mapping, 64-bit numbers are text.
            let partial = serde_json::json!({
                "partialSuccess": {"rejectedDataPoints": rejected_points.to_string(), "errorMessage": message},
            });
            partial.to_string().into_bytes()
        }
    }
}

/// Nothing was written. `code` is one of gRPC's.
pub fn failure(encoding: Encoding, code: u32, message: &str) -> Vec<u8> {
    match encoding {
        Encoding::Protobuf => {
            let mut status = Writer::new();
            status.varint(1, u64::from(code));
            status.string(2, message);
            status.as_bytes().to_vec()
        }
        Encoding::Json => serde_json::json!({"code": code, "message": message}).to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_those_of_the_specification() {
        assert_eq!(success(Encoding::Protobuf, 0, ""), b"");
        assert_eq!(success(Encoding::Json, 0, ""), b"{}");
        assert_eq!(success(Encoding::Protobuf, 2, "no"), b"\x0a\x06\x08\x02\x12\x02no");
        assert_eq!(
            success(Encoding::Json, 2, "\"no\""),
            br#"{"partialSuccess":{"errorMessage":"\"no\"","rejectedDataPoints":"2"}}"#
        );
        assert_eq!(failure(Encoding::Protobuf, 3, "no"), b"\x08\x03\x12\x02no");
        assert_eq!(failure(Encoding::Json, 3, "no"), br#"{"code":3,"message":"no"}"#);
    }
}
