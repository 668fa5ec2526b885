//! How packed weights lie in memory.
//!
//! Sixteen rows make a *group*; a group is a sequence of *units*, each a fixed number of columns with
//! everything that is needed to multiply them: quants, scales, minimums. A unit is a whole number of
//! cache lines and units follow each other, so that a product reads memory once, front to back.
//!
//! Quants are interleaved by four columns, a *quad*: a line of 64 bytes is 16 rows × 4 columns, the operand
//! of one byte-product instruction. Nibbles: the low ones of line `i` are quad `i` of a run of 32 columns,
//! the high ones quad `i + 4`.
//!
//! | encoding | columns | lines | content |
//! |---|---|---|---|
//! | Q8_0 | 64 | 17 | 16 quants; scales f16 of both runs |
//! | Q4_0 | 64 | 9 | 8 nibbles; scales f16 of both runs |
//! | Q4_K | 256 | 37 | 8 runs of 4 nibbles; 2 scales u8 (run, row); 2 minimums u8 (pair of runs, row, which); f16 factors of both |
//! | Q5_K | 256 | 45 | as Q4_K; in a run, after the nibbles, 1 of fifth bits (bit `i` of a byte for quad `i`) |
//! | Q6_K | 256 | 53 | 8 runs of 4 nibbles, 2 of high bits (2 bits per quad); 4 scales i8 (pair of runs of 16, row, which); f16 factors |
//! | F32 | 2 | 2 | a line per column |
//! | F16, BF16 | 2 | 1 | half a line per column |

use rayon::prelude::*;

use super::ggml::{self, Encoding};
use super::simd::{LANES, Line};

/// Where the parts of a unit of 256 columns are. `high_bits` says how many bits a quant has above its
/// nibble: 0 in Q4_K, 1 in Q5_K, 2 in Q6_K.
pub mod unit256 {
    use super::Line;

    /// Lines of a run of 32 columns: nibbles, then high bits.
    pub const fn run_lines(high_bits: usize) -> usize {
        4 + high_bits
    }

    /// Lines of a unit.
    pub const fn lines(high_bits: usize) -> usize {
        8 * run_lines(high_bits) + 5
    }

    /// The lines of a run.
    #[inline(always)]
    pub fn run(unit: &[Line], high_bits: usize, run: usize) -> &[Line] {
        &unit[run * run_lines(high_bits)..][..run_lines(high_bits)]
    }

    /// What follows the runs: scales (2 lines, or 4 in Q6_K), minimums (2, none in Q6_K), and a line with
    /// the half floats that both are multiplied with.
    #[inline(always)]
    pub fn tail(unit: &[Line], high_bits: usize) -> &[Line; 5] {
        let (_, tail) = unit.split_at(8 * run_lines(high_bits));
        tail.first_chunk().unwrap_or(&[Line::ZERO; 5])
    }

    /// Line of the tail where the minimums begin.
    pub const MINIMUMS: usize = 2;
    /// Line of the tail with the half floats.
    pub const FACTORS: usize = 4;
}

/// Columns of a unit.
pub fn unit_cols(encoding: Encoding) -> usize {
    match encoding {
        Encoding::F32 | Encoding::F16 | Encoding::BF16 => 2,
        Encoding::Q8_0 | Encoding::Q4_0 => 64,
        Encoding::Q4K | Encoding::Q5K | Encoding::Q6K => 256,
    }
}

/// Lines of a unit.
pub fn unit_lines(encoding: Encoding) -> usize {
    match encoding {
        Encoding::F32 => 2,
        Encoding::F16 | Encoding::BF16 => 1,
        Encoding::Q8_0 => 17,
        Encoding::Q4_0 => 9,
        Encoding::Q4K => unit256::lines(0),
        Encoding::Q5K => unit256::lines(1),
        Encoding::Q6K => unit256::lines(2),
    }
}

/// Packs a row-major matrix of blocks. Rows and columns that fill up the last group and unit are zeros.
pub fn pack(encoding: Encoding, rows: usize, cols: usize, blocks: &[u8]) -> Vec<Line> {
    let row_bytes = cols / encoding.block_cols() * encoding.block_bytes();
    let group_lines = cols.div_ceil(unit_cols(encoding)) * unit_lines(encoding);
    let mut lines = vec![Line::ZERO; rows.div_ceil(LANES) * group_lines];
    let groups = lines.par_chunks_exact_mut(group_lines).zip(blocks.par_chunks(LANES * row_bytes));
    groups.for_each(|(group, rows)| {
        for (lane, row) in rows.chunks_exact(row_bytes).enumerate() {
            pack_row(encoding, group, lane, row);
        }
    });
    lines
}

fn pack_row(encoding: Encoding, group: &mut [Line], lane: usize, row: &[u8]) {
    let units = group.chunks_exact_mut(unit_lines(encoding));
    match encoding {
        Encoding::F32 => {
            for (unit, bytes) in units.zip(row.chunks(8)) {
                for (line, bytes) in unit.iter_mut().zip(bytes.chunks_exact(4)) {
                    line.0[4 * lane..][..4].copy_from_slice(bytes);
                }
            }
        }
        Encoding::F16 | Encoding::BF16 => {
            for (unit, bytes) in units.zip(row.chunks(4)) {
                for (half, bytes) in bytes.chunks_exact(2).enumerate() {
                    unit[0].0[32 * half + 2 * lane..][..2].copy_from_slice(bytes);
                }
            }
        }
        Encoding::Q8_0 => {
            for (unit, blocks) in units.zip(row.as_chunks().0.chunks(2)) {
                // The quant of nothing is 128, not 0.
                unit[..16].iter_mut().for_each(|line| line.0[4 * lane..][..4].fill(0x80));
                for (run, block) in blocks.iter().enumerate() {
                    let block = ggml::read_q8_0(block);
                    for (quad, quants) in block.quants.chunks_exact(4).enumerate() {
                        unit[8 * run + quad].0[4 * lane..][..4].copy_from_slice(quants);
                    }
                    unit[16].0[32 * run + 2 * lane..][..2].copy_from_slice(&block.scale);
                }
            }
        }
        Encoding::Q4_0 => {
            for (unit, blocks) in units.zip(row.as_chunks().0.chunks(2)) {
                for (run, block) in blocks.iter().enumerate() {
                    let block = ggml::read_q4_0(block);
                    pack_nibbles(&mut unit[4 * run..], lane, &block.quants);
                    unit[8].0[32 * run + 2 * lane..][..2].copy_from_slice(&block.scale);
                }
            }
        }
        Encoding::Q4K => {
            for (unit, block) in units.zip(row.as_chunks().0) {
                pack_block(unit, lane, &ggml::read_q4k(block), 0);
            }
        }
        Encoding::Q5K => {
            for (unit, block) in units.zip(row.as_chunks().0) {
                pack_block(unit, lane, &ggml::read_q5k(block), 1);
            }
        }
        Encoding::Q6K => {
            for (unit, block) in units.zip(row.as_chunks().0) {
                pack_block(unit, lane, &ggml::read_q6k(block), 2);
            }
        }
    }
}

/// The low nibbles of 32 quants, into four lines.
fn pack_nibbles(lines: &mut [Line], lane: usize, quants: &[u8]) {
    let (first, second) = quants.split_at(16);
    for (at, (low, high)) in first.iter().zip(second).enumerate() {
        lines[at / 4].0[4 * lane + at % 4] = low & 0xf | high << 4;
    }
}

fn pack_block(unit: &mut [Line], lane: usize, block: &ggml::Block256, high_bits: usize) {
    let (runs, tail) = unit.split_at_mut(8 * unit256::run_lines(high_bits));
    for (lines, quants) in runs.chunks_exact_mut(4 + high_bits).zip(block.quants.chunks_exact(32)) {
        pack_nibbles(lines, lane, quants);
        for (at, quant) in quants.iter().enumerate() {
            if let Some((line, shift)) = high_field(high_bits, at / 4) {
                lines[line].0[4 * lane + at % 4] |= (quant >> 4) << shift;
            }
        }
    }
    if high_bits == 2 {
        for (run, scale) in block.scales.iter().enumerate() {
            tail[run / 4].0[pair_byte(run, lane)] = *scale;
        }
    } else {
        for (run, (scale, minimum)) in block.scales.iter().zip(&block.minimums).enumerate() {
            tail[run / 4].0[16 * (run % 4) + lane] = *scale;
            tail[unit256::MINIMUMS + run / 4].0[pair_byte(run, lane)] = *minimum;
        }
    }
    tail[unit256::FACTORS].0[2 * lane..][..2].copy_from_slice(&block.scale);
    tail[unit256::FACTORS].0[32 + 2 * lane..][..2].copy_from_slice(&block.minimum);
}

/// The line of a run that has the high bits of a quad, and how far up they are in a byte.
fn high_field(high_bits: usize, quad: usize) -> Option<(usize, usize)> {
    let quads_per_line = 8usize.checked_div(high_bits)?;
    Some((4 + quad / quads_per_line, high_bits * (quad % quads_per_line)))
}

/// Where in a line of four runs a row's byte of one of them is, two runs side by side.
fn pair_byte(run: usize, lane: usize) -> usize {
    32 * (run / 2 % 2) + 2 * lane + run % 2
}

/// One row of a group as floats, as long as `row` is.
pub fn read_row(encoding: Encoding, group: &[Line], lane: usize, row: &mut [f32]) {
    let units = group.chunks_exact(unit_lines(encoding)).zip(row.chunks_mut(unit_cols(encoding)));
    for (unit, values) in units {
        match encoding {
            Encoding::F32 => {
                for (value, line) in values.iter_mut().zip(unit) {
                    *value = f32::from_le_bytes(line.0.as_chunks().0[lane]);
                }
            }
            Encoding::F16 => {
                for (half, value) in values.iter_mut().enumerate() {
                    *value = half_float(&unit[0], half, lane);
                }
            }
            Encoding::BF16 => {
                for (half, value) in values.iter_mut().enumerate() {
                    let [low, high] = unit[0].half(half).as_chunks().0[lane];
                    *value = f32::from_le_bytes([0, 0, low, high]);
                }
            }
            Encoding::Q8_0 => {
                for (col, value) in values.iter_mut().enumerate() {
                    let quant = unit[col / 4].0[4 * lane + col % 4];
                    *value = half_float(&unit[16], col / 32, lane) * (f32::from(quant) - 128.0);
                }
            }
            Encoding::Q4_0 => {
                for (col, value) in values.iter_mut().enumerate() {
                    let (run, at) = (col / 32, col % 32);
                    let quant = nibble(&unit[4 * run..], lane, at);
                    *value = half_float(&unit[8], run, lane) * (f32::from(quant) - 8.0);
                }
            }
            Encoding::Q4K => read_unit256(unit, lane, values, 0),
            Encoding::Q5K => read_unit256(unit, lane, values, 1),
            Encoding::Q6K => read_unit256(unit, lane, values, 2),
        }
    }
}

fn read_unit256(unit: &[Line], lane: usize, values: &mut [f32], high_bits: usize) {
    let tail = unit256::tail(unit, high_bits);
    let scale = half_float(&tail[unit256::FACTORS], 0, lane);
    let minimum = half_float(&tail[unit256::FACTORS], 1, lane);
    for (col, value) in values.iter_mut().enumerate() {
        let (run, at) = (col / 32, col % 32);
        let lines = unit256::run(unit, high_bits, run);
        let mut quant = nibble(lines, lane, at);
        if let Some((line, shift)) = high_field(high_bits, at / 4) {
            let field = lines[line].0[4 * lane + at % 4] >> shift;
            quant |= (field & ((1 << high_bits) - 1)) << 4;
        }
        *value = if high_bits == 2 {
            let run = col / 16;
            let own = tail[run / 4].0[pair_byte(run, lane)] as i8;
            scale * f32::from(own) * (f32::from(quant) - 32.0)
        } else {
            let own = tail[run / 4].0[16 * (run % 4) + lane];
            let own_minimum = tail[unit256::MINIMUMS + run / 4].0[pair_byte(run, lane)];
            scale * f32::from(own) * f32::from(quant) - minimum * f32::from(own_minimum)
        };
    }
}

/// The nibble of a column of a run.
fn nibble(lines: &[Line], lane: usize, at: usize) -> u8 {
    let byte = lines[at % 16 / 4].0[4 * lane + at % 4];
    if at < 16 { byte & 0xf } else { byte >> 4 }
}

/// The half float of a row in the first or second half of a line.
fn half_float(line: &Line, half: usize, lane: usize) -> f32 {
    ggml::half_float(line.half(half).as_chunks().0[lane])
}
