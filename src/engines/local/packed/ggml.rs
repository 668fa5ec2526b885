//! The blocks of GGUF files, read into one form.
//!
//! Every quantised type is `scale · quant − minimum` with an unsigned `quant`, for runs of 16 or 32
//! columns of a row. The layouts are those of ggml (`ggml-common.h`, `ggml-quants.c`).

use candle_core::quantized::GgmlDType;
use half::f16;

/// What a matrix's elements are stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    BF16,
    /// 32 signed bytes with one scale.
    Q8_0,
    /// 32 nibbles less 8, with one scale.
    Q4_0,
    /// 256 nibbles; each 32 have a 6-bit scale and minimum.
    Q4K,
    /// 256 quants of 5 bits; each 32 have a 6-bit scale and minimum.
    Q5K,
    /// 256 quants of 6 bits, less 32; each 16 have an 8-bit scale.
    Q6K,
}

impl Encoding {
    /// The encoding of a GGUF tensor; `None` for those that cannot be packed.
    pub fn of(dtype: GgmlDType) -> Option<Self> {
        match dtype {
            GgmlDType::F32 => Some(Self::F32),
            GgmlDType::F16 => Some(Self::F16),
            GgmlDType::BF16 => Some(Self::BF16),
            GgmlDType::Q8_0 => Some(Self::Q8_0),
            GgmlDType::Q4_0 => Some(Self::Q4_0),
            GgmlDType::Q4K => Some(Self::Q4K),
            GgmlDType::Q5K => Some(Self::Q5K),
            GgmlDType::Q6K => Some(Self::Q6K),
            _ => None,
        }
    }

    /// Columns of a block: the length of a row is a multiple of it.
    pub fn block_cols(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => 1,
            Self::Q8_0 | Self::Q4_0 => 32,
            Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Bytes of a block in a GGUF file.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::Q8_0 => 2 + 32,
            Self::Q4_0 => 2 + 16,
            Self::Q4K => 4 + 12 + 128,
            Self::Q5K => 4 + 12 + 32 + 128,
            Self::Q6K => 128 + 64 + 16 + 2,
        }
    }
}

/// A block of 32 columns: value = scale · (quant − offset), the offset being the encoding's.
pub struct Block32 {
    /// The unsigned quants: of eight bits less 128, or of four less 8.
    pub quants: [u8; 32],
    /// IEEE half float.
    pub scale: [u8; 2],
}

/// A block of 256 columns.
pub struct Block256 {
    /// The unsigned quants: 4, 5 or 6 bits.
    pub quants: [u8; 256],
    /// Per 16 columns (6-bit quants, signed) or per 32 (the first eight; others).
    pub scales: [u8; 16],
    /// Per 32 columns; none for 6-bit quants.
    pub minimums: [u8; 8],
    /// What scales are to be multiplied with: IEEE half float.
    pub scale: [u8; 2],
    /// What minimums are to be multiplied with: IEEE half float.
    pub minimum: [u8; 2],
}

/// Reads a block of Q8_0.
pub fn read_q8_0(bytes: &[u8; 34]) -> Block32 {
    let mut quants = [0; 32];
    for (quant, byte) in quants.iter_mut().zip(&bytes[2..]) {
        *quant = byte ^ 0x80;
    }
    Block32 { quants, scale: [bytes[0], bytes[1]] }
}

/// Reads a block of Q4_0.
pub fn read_q4_0(bytes: &[u8; 18]) -> Block32 {
    let mut quants = [0; 32];
    for (at, byte) in bytes[2..].iter().enumerate() {
        quants[at] = byte & 0xf;
        quants[at + 16] = byte >> 4;
    }
    Block32 { quants, scale: [bytes[0], bytes[1]] }
}

/// Reads a block of Q4_K.
pub fn read_q4k(bytes: &[u8; 144]) -> Block256 {
    read_with_minimums(&bytes[..16], None, &bytes[16..])
}

/// Reads a block of Q5_K.
pub fn read_q5k(bytes: &[u8; 176]) -> Block256 {
    read_with_minimums(&bytes[..16], Some(&bytes[16..48]), &bytes[48..])
}

/// `head` is both half floats and the twelve bytes of scales, `fifth_bits` one byte per column of a run
/// with a bit per run, `nibbles` two runs per 32 bytes.
fn read_with_minimums(head: &[u8], fifth_bits: Option<&[u8]>, nibbles: &[u8]) -> Block256 {
    let mut quants = [0; 256];
    for (two_runs, (quants, bytes)) in quants.chunks_exact_mut(64).zip(nibbles.chunks_exact(32)).enumerate() {
        for (at, byte) in bytes.iter().enumerate() {
            let high = fifth_bits.map_or(0, |bits| bits[at] >> (2 * two_runs));
            quants[at] = byte & 0xf | (high & 1) << 4;
            quants[at + 32] = byte >> 4 | (high & 2) << 3;
        }
    }
    // Eight scales and eight minimums of six bits in twelve bytes: the last four of each have their high
    // two bits above those of the first four.
    let packed = &head[4..16];
    let (mut scales, mut minimums) = ([0; 16], [0; 8]);
    for run in 0..4 {
        scales[run] = packed[run] & 63;
        minimums[run] = packed[run + 4] & 63;
        scales[run + 4] = packed[run + 8] & 0xf | packed[run] >> 6 << 4;
        minimums[run + 4] = packed[run + 8] >> 4 | packed[run + 4] >> 6 << 4;
    }
    Block256 { quants, scales, minimums, scale: [head[0], head[1]], minimum: [head[2], head[3]] }
}

/// Reads a block of Q6_K.
pub fn read_q6k(bytes: &[u8; 210]) -> Block256 {
    let (low, rest) = bytes.split_at(128);
    let (high, rest) = rest.split_at(64);
    let mut quants = [0; 256];
    for (half, quants) in quants.chunks_exact_mut(128).enumerate() {
        let (low, high) = (&low[64 * half..], &high[32 * half..]);
        for at in 0..32 {
            quants[at] = low[at] & 0xf | (high[at] & 3) << 4;
            quants[at + 32] = low[at + 32] & 0xf | (high[at] >> 2 & 3) << 4;
            quants[at + 64] = low[at] >> 4 | (high[at] >> 4 & 3) << 4;
            quants[at + 96] = low[at + 32] >> 4 | high[at] >> 6 << 4;
        }
    }
    let mut scales = [0; 16];
    scales.copy_from_slice(&rest[..16]);
    Block256 { quants, scales, minimums: [0; 8], scale: [rest[16], rest[17]], minimum: [0; 2] }
}

/// A half float of a block.
pub fn half_float(bytes: [u8; 2]) -> f32 {
    f16::from_le_bytes(bytes).to_f32()
}
