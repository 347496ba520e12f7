//! Components that are nearly what they were.

use std::ops::Range;

use wasmparser::{Parser, Payload};

use crate::random::Random;

/// Bytes changed anywhere. Most of these are refused when they are checked.
pub(crate) fn of_bytes(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut wasm = random.pick(corpus).clone();
    for _ in 0..=random.below(4) {
        if wasm.len() < 16 {
            break;
        }
        let at = random.below(wasm.len());
        match random.below(6) {
            0 => wasm[at] ^= 1 << random.below(8),
            1 => wasm[at] = *random.pick(&[0, 1, 0x7f, 0x80, 0xff]),
            2 => wasm.truncate(at),
            3 => {
                let end = (at + random.below(64)).min(wasm.len());
                wasm.drain(at..end);
            }
            4 => {
                let end = (at + random.below(256)).min(wasm.len());
                let copy = wasm[at..end].to_vec();
                let to = random.below(wasm.len());
                wasm.splice(to..to, copy);
            }
            _ => {
                // The beginning of one and the end of another.
                let other = random.pick(corpus);
                let from = random.below(other.len().max(1)).min(other.len());
                wasm.truncate(at);
                wasm.extend_from_slice(&other[from..]);
            }
        }
    }
    wasm
}

/// Bytes changed in the code and the data of a core module alone: what is left valid does something else.
pub(crate) fn of_code(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut wasm = random.pick(corpus).clone();
    let ranges = code_and_data(&wasm);
    if ranges.is_empty() {
        return of_bytes(random, corpus);
    }
    for _ in 0..=random.below(3) {
        let range = random.pick(&ranges);
        let at = range.start + random.below(range.len());
        // Numbers within instructions are where a change is most often valid.
        wasm[at] = wasm[at].wrapping_add(*random.pick(&[1, 2, 0xff, 0xfe, 0x40, 0xc0]));
    }
    wasm
}

fn code_and_data(wasm: &[u8]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    // Where the parser counts from a whole that was changed before, a range may lie outside.
    let mut keep = |range: Range<usize>| {
        if !range.is_empty() && range.end <= wasm.len() {
            ranges.push(range);
        }
    };
    for payload in Parser::new(0).parse_all(wasm) {
        match payload {
            Ok(Payload::CodeSectionEntry(body)) => keep(body.range()),
            Ok(Payload::DataSection(data)) => keep(data.range()),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    ranges
}
