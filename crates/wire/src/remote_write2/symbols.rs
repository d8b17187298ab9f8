//! The table of symbols of a request, and references to it.

use model::METRIC_NAME;

use crate::protobuf::{ProtobufError, Reader};
use crate::remote_write::{LabelHasher, NameRule, Place, RejectedReason, RemoteWriteError, pack, shown};

/// A symbol takes 24 bytes while a request is decoded. So many are allowed as fit into the memory that is set aside for its
/// batch; requests that are not made of empty symbols have far fewer.
pub(super) fn symbols_max(request_bytes: usize) -> usize {
    (request_bytes / 8).max(1_024)
}

/// Bytes of a place in the table behind a request: offset and length.
const PLACE_BYTES: usize = 8;
const NUMBER_BYTES: usize = 4;

/// A label's name and value.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// The symbols of a request, with their hashes.
pub(super) struct Symbols<'a> {
    request: &'a [u8],
    places: Vec<(u32, u32)>,
    hashes: Vec<u128>,
    /// Which symbols say `__name__`; one as a rule.
    names: Vec<u32>,
}

impl<'a> Symbols<'a> {
    pub(super) fn read(request: &'a [u8], hasher: &LabelHasher) -> Result<Self, RemoteWriteError> {
        let fault = |error| RemoteWriteError::Protobuf { place: Place::Request, error };
        let mut symbols = Self { request, places: Vec::new(), hashes: Vec::new(), names: Vec::new() };
        let symbols_max = symbols_max(request.len());
        let mut reader = Reader::new(request);
        while let Some((field, value)) = reader.next_field().map_err(fault)? {
            if field != 4 {
                continue;
            }
            let text = value.bytes(field).map_err(fault)?;
            if symbols.places.len() == symbols_max {
                return Err(RemoteWriteError::TooManySymbols(symbols_max));
            }
            if text == METRIC_NAME.as_bytes() {
                symbols.names.push(symbols.places.len() as u32);
            }
            let start = request.len() - reader.len() - text.len();
            // A request of 4 GiB is refused long before.
            symbols.places.push((start as u32, text.len() as u32));
            symbols.hashes.push(hasher.hash(text));
        }
        Ok(symbols)
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn into_table(self) -> SymbolTable {
        SymbolTable { places: self.places }
    }

    pub(super) fn hash(&self, reference: u32) -> Option<u128> {
        self.hashes.get(reference as usize).copied()
    }

    pub(super) fn get(&self, reference: u32) -> Option<&'a [u8]> {
        text_at(self.request, *self.places.get(reference as usize)?)
    }

    /// The reference to the metric's name.
    pub(super) fn name_ref(&self, refs: &[u32]) -> Option<u32> {
        let pair = refs.chunks_exact(2).find(|pair| self.names.contains(&pair[0]))?;
        (pair[1] < self.places.len() as u32).then_some(pair[1])
    }

    /// Replaces the content of `pairs` by what the references stand for.
    pub(super) fn pairs(&self, refs: &[u32], pairs: &mut Vec<Pair<'a>>) -> Result<(), RejectedReason> {
        resolve(refs, self.places.len(), |reference| self.get(reference), pairs)
    }
}

fn text_at(request: &[u8], (start, len): (u32, u32)) -> Option<&[u8]> {
    request.get(start as usize..start as usize + len as usize)
}

fn resolve<'a>(
    refs: &[u32],
    symbol_count: usize,
    get: impl Fn(u32) -> Option<&'a [u8]>,
    pairs: &mut Vec<Pair<'a>>,
) -> Result<(), RejectedReason> {
    pairs.clear();
    for pair in refs.chunks_exact(2) {
        let text = |reference| get(reference).ok_or(RejectedReason::NoSymbol { reference, symbol_count });
        pairs.push((text(pair[0])?, text(pair[1])?));
    }
    if refs.len().is_multiple_of(2) { Ok(()) } else { Err(RejectedReason::OddReferences(refs.len())) }
}

/// References as a packed field.
pub(super) struct References<'a>(Reader<'a>);

impl<'a> References<'a> {
    pub(super) fn of(packed: &'a [u8]) -> Self {
        Self(Reader::new(packed))
    }

    pub(super) fn read_into(mut self, refs: &mut Vec<u32>) -> Result<(), ProtobufError> {
        while !self.0.is_empty() {
            // A number that no uint32 holds points to no symbol either.
            refs.push(u32::try_from(self.0.varint()?).unwrap_or(u32::MAX));
        }
        Ok(())
    }
}

/// Where in a request its symbols are.
#[derive(Debug, Default)]
pub struct SymbolTable {
    places: Vec<(u32, u32)>,
}

impl SymbolTable {
    /// Appends the table to the request that it was made from, for [`decode_refs`].
    pub fn append_to(&self, request: &mut Vec<u8>) {
        request.reserve(self.places.len() * PLACE_BYTES + NUMBER_BYTES);
        for (start, len) in &self.places {
            request.extend_from_slice(&start.to_le_bytes());
            request.extend_from_slice(&len.to_le_bytes());
        }
        request.extend_from_slice(&(self.places.len() as u32).to_le_bytes());
    }
}

/// The labels that references stand for, in a request with its table behind it.
fn pairs_of<'a>(refs: &[u8], request: &'a [u8]) -> Result<Vec<Pair<'a>>, RejectedReason> {
    let mut numbers = Vec::new();
    References::of(refs).read_into(&mut numbers).map_err(RejectedReason::Malformed)?;
    let number = |at: usize| {
        let bytes = request.get(at..)?.first_chunk::<NUMBER_BYTES>()?;
        Some(u32::from_le_bytes(*bytes))
    };
    let count = request.len().checked_sub(NUMBER_BYTES).and_then(number).unwrap_or(0) as usize;
    let table = request.len().saturating_sub(NUMBER_BYTES + count * PLACE_BYTES);
    let get = |reference: u32| {
        let at = table + reference as usize * PLACE_BYTES;
        ((reference as usize) < count)
            .then(|| text_at(request, (number(at)?, number(at + NUMBER_BYTES)?)))
            .flatten()
    };
    let mut pairs = Vec::with_capacity(numbers.len() / 2);
    resolve(&numbers, count, get, &mut pairs)?;
    Ok(pairs)
}

/// Appends the packed labels that the references of a series stand for. `request` has its table behind it
/// ([`SymbolTable::append_to`]).
///
/// # Errors
/// Why they cannot be a series.
pub fn decode_refs(refs: &[u8], request: &[u8], packed: &mut String) -> Result<(), RejectedReason> {
    let mut own = String::new();
    pack(&mut pairs_of(refs, request)?, &mut own, NameRule::Required)?;
    packed.push_str(&own);
    Ok(())
}

/// Says what is wrong with the references of a series; `None` if they are sound.
pub fn refuse_refs(refs: &[u8], request: &[u8]) -> Option<String> {
    let reason = decode_refs(refs, request, &mut String::new()).err()?;
    Some(format!("time series {}: {reason}", shown(&pairs_of(refs, request).unwrap_or_default())))
}
