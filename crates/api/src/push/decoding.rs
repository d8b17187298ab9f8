//! How a body is compressed, and undoing it within limits.

use std::io::{self, Read};

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};
use wire::remote_write::{self, RemoteWriteError};

use crate::error::{ApiError, ErrorType};

/// zstd may ask for a window of up to 2 GiB; what is pushed needs no more than 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Memory is asked for in such steps while it is not known how large a body will become.
const STEP_BYTES: usize = 64 << 10;
/// How the framed format of snappy begins.
const SNAPPY_FRAMES: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// A compression that clients use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Deflate,
    Zstd,
    /// A block, or frames.
    Snappy,
    /// One message of gRPC, which may be compressed so.
    Grpc(&'static Encoding),
}

impl Encoding {
    /// What the header `Content-Encoding` says.
    ///
    /// # Errors
    /// 415 if it is none of ours.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Ok(Self::Identity) };
        let name = value.to_str().unwrap_or("\u{fffd}").trim();
        Self::from_name(name).ok_or_else(|| {
            let message = format!(
                "Content-Encoding {name:?} is not known: compress with gzip, deflate, zstd or snappy, or not at all"
            );
            ApiError::new(ErrorType::UnsupportedMediaType, message)
        })
    }

    /// By the name that HTTP has for it.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        const NAMES: [(&str, Encoding); 7] = [
            ("", Encoding::Identity),
            ("identity", Encoding::Identity),
            ("gzip", Encoding::Gzip),
            ("x-gzip", Encoding::Gzip),
            ("deflate", Encoding::Deflate),
            ("zstd", Encoding::Zstd),
            ("snappy", Encoding::Snappy),
        ];
        NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, encoding)| *encoding)
    }

    /// Bodies up to here take less than a few milliseconds, and never wait for the disk: handing them to another thread
    /// would cost more than it is worth.
    pub(super) fn inline_bytes_max(self) -> usize {
        match self {
            Self::Identity | Self::Snappy => 64 << 10,
            // They may grow a thousandfold.
            Self::Gzip | Self::Deflate | Self::Zstd => 4 << 10,
            Self::Grpc(message) => message.inline_bytes_max(),
        }
    }

    /// Replaces the content of `into` by the decompressed body. `grow` is asked before more memory is taken.
    ///
    /// # Errors
    /// 413 beyond `bytes_max`, 400 for what is not of this compression, and what `grow` says.
    pub(crate) fn decode(
        self,
        body: &[u8],
        bytes_max: usize,
        into: &mut Vec<u8>,
        mut grow: impl FnMut(u64) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        into.clear();
        match self {
            Self::Identity => {
                if body.len() > bytes_max {
                    return Err(too_large(bytes_max));
                }
                grow(body.len() as u64)?;
                into.extend_from_slice(body);
                Ok(())
            }
            Self::Gzip => read_bounded("gzip", MultiGzDecoder::new(body), bytes_max, into, grow),
            Self::Deflate if is_zlib(body) => {
                read_bounded("deflate", ZlibDecoder::new(body), bytes_max, into, grow)
            }
            Self::Deflate => read_bounded("deflate", DeflateDecoder::new(body), bytes_max, into, grow),
            Self::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(body).and_then(|mut decoder| {
                    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                    Ok(decoder)
                });
                let decoder = decoder.map_err(|error| damaged("zstd", &error))?;
                read_bounded("zstd", decoder, bytes_max, into, grow)
            }
            Self::Snappy if body.starts_with(SNAPPY_FRAMES) => {
                read_bounded("snappy", snap::read::FrameDecoder::new(body), bytes_max, into, grow)
            }
            Self::Snappy => decode_block(body, bytes_max, into, grow),
            Self::Grpc(compression) => {
                let (is_compressed, message) = grpc_message(body)?;
                let encoding = if is_compressed { *compression } else { Self::Identity };
                encoding.decode(message, bytes_max, into, grow)
            }
        }
    }
}

/// Whether the only message of a request is compressed, and the message.
fn grpc_message(body: &[u8]) -> Result<(bool, &[u8]), ApiError> {
    let broken = |what: &str| Err(ApiError::bad_data(format!("the body is not one gRPC message: {what}")));
    let Some(([flag, len @ ..], message)) = body.split_first_chunk::<5>() else {
        return broken("its frame is cut off");
    };
    if u32::from_be_bytes(*len) as usize != message.len() {
        return broken("its length does not fit");
    }
    match flag {
        0 | 1 => Ok((*flag == 1, message)),
        _ => broken("its flag is neither 0 nor 1"),
    }
}

/// Clients disagree on whether "deflate" means the bare stream or zlib's; RFC 9110 says zlib.
fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [method, flags, ..]
        if method & 0x0f == 8 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0)
}

fn decode_block(
    body: &[u8],
    bytes_max: usize,
    into: &mut Vec<u8>,
    mut grow: impl FnMut(u64) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    /// A sound block holds at most 22 times its size. A header that claims more is a lie, not a large request.
    const SNAPPY_RATIO_MAX: usize = 22;
    let claimed = snap::raw::decompress_len(body).unwrap_or(0);
    grow(claimed.min(bytes_max).min(body.len() * SNAPPY_RATIO_MAX) as u64)?;
    remote_write::decompress(body, bytes_max, into).map_err(|error| {
        let error_type = match error {
            RemoteWriteError::TooLarge { len_bytes, .. } if len_bytes / SNAPPY_RATIO_MAX <= body.len() => {
                ErrorType::PayloadTooLarge
            }
            _ => ErrorType::BadData,
        };
        ApiError::new(error_type, error.to_string())
    })
}

fn read_bounded(
    name: &str,
    mut reader: impl Read,
    bytes_max: usize,
    into: &mut Vec<u8>,
    mut grow: impl FnMut(u64) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let mut granted = 0;
    let mut chunk = [0; 16 << 10];
    loop {
        let read = match reader.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(damaged(name, &error)),
        };
        if into.len() + read > bytes_max {
            return Err(too_large(bytes_max));
        }
        if into.len() + read > granted {
            grow(STEP_BYTES as u64)?;
            granted += STEP_BYTES;
        }
        into.extend_from_slice(&chunk[..read]);
    }
}

fn damaged(name: &str, error: &io::Error) -> ApiError {
    ApiError::bad_data(format!("the body is not sound {name}: {error}"))
}

fn too_large(bytes_max: usize) -> ApiError {
    let message =
        format!("the body decompressed is larger than the limit of {bytes_max} bytes: send less at a time");
    ApiError::new(ErrorType::PayloadTooLarge, message)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use http::StatusCode;

    use super::*;

    #[track_caller]
    fn check(encoding: Encoding, body: &[u8], bytes_max: usize, want: Result<&[u8], StatusCode>) {
        let mut decoded = b"left over".to_vec();
        let mut granted = 0;
        let result = encoding.decode(body, bytes_max, &mut decoded, |more| {
            granted += more;
            Ok(())
        });
        assert_eq!(result.map(|()| decoded.as_slice()).map_err(|error| error.status()), want, "{encoding:?}");
        if let Ok(want) = want {
            assert!(granted >= want.len() as u64, "memory is asked for before it is taken");
        }
    }

    type Encode = Box<dyn Fn(&[u8]) -> Vec<u8>>;

    fn encodings(text: &[u8]) -> Vec<(Encoding, Vec<u8>)> {
        let write = |encoder: Encode| encoder(text);
        let level = Compression::default();
        vec![
            (Encoding::Identity, text.to_vec()),
            (
                Encoding::Gzip,
                write(Box::new(move |text| {
                    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                    encoder.write_all(text).expect("in memory");
                    encoder.finish().expect("in memory")
                })),
            ),
            (
                Encoding::Deflate,
                write(Box::new(move |text| {
                    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
                    encoder.write_all(text).expect("in memory");
                    encoder.finish().expect("in memory")
                })),
            ),
            (
                Encoding::Deflate,
                write(Box::new(move |text| {
                    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
                    encoder.write_all(text).expect("in memory");
                    encoder.finish().expect("in memory")
                })),
            ),
            (Encoding::Zstd, zstd::encode_all(text, 3).expect("in memory")),
            (Encoding::Snappy, snap::raw::Encoder::new().compress_vec(text).expect("in memory")),
            (
                Encoding::Snappy,
                write(Box::new(|text| {
                    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
                    encoder.write_all(text).expect("in memory");
                    encoder.into_inner().expect("in memory")
                })),
            ),
        ]
    }

    #[test]
    fn every_compression_is_undone_within_the_limit() {
        let text = b"cpu value=1\n".repeat(9_000);
        for (encoding, body) in encodings(&text) {
            check(encoding, &body, text.len(), Ok(&text));
            check(encoding, &body, text.len() - 1, Err(StatusCode::PAYLOAD_TOO_LARGE));
        }
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_refused() {
        let text = b"cpu value=1\n".repeat(9_000);
        for (encoding, body) in encodings(&text).into_iter().skip(1) {
            check(encoding, &body[..body.len() / 2], text.len(), Err(StatusCode::BAD_REQUEST));
            check(encoding, b"\xff\xfe is no compression", text.len(), Err(StatusCode::BAD_REQUEST));
        }
    }

    #[test]
    fn names_are_http_s() {
        let headers = |value: &str| {
            HeaderMap::from_iter([(header::CONTENT_ENCODING, value.parse().expect("a header's value"))])
        };
        assert_eq!(Encoding::of(&headers("GZIP")), Ok(Encoding::Gzip));
        assert_eq!(Encoding::of(&HeaderMap::new()), Ok(Encoding::Identity));
        let error = Encoding::of(&headers("br")).expect_err("not ours");
        assert_eq!(error.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
}
