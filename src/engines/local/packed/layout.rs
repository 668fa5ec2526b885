//! How packed weights lie in memory.
//!
//! Sixteen rows make a *group*; a group is a sequence of *units*, each a fixed number of columns with
//! everything that is needed to multiply them: quants, scales, minimums. A unit is a whole number of
//! cache lines and units follow each other, so that a product reads memory once, front to back.
//!
//! The order of lines in a unit, and that of the reads in the kernels, were found by measuring: a product
//! with one row of activations waits for memory, and the hardware's prefetching loses track easily. High
//! bits behind the nibbles, scales behind the quants, or prefetching by hand took up to twice as long.
//!
//! Quants are interleaved by four columns, a *quad*: a line of 64 bytes is 16 rows × 4 columns, the operand
//! of one byte-product instruction. Nibbles: the low ones of line `i` are quad `i` of a run of 32 columns,
//! the high ones quad `i + 4`.
//!
//! | encoding | columns | lines | content |
//! |---|---|---|---|
//! | Q8_0 | 64 | 17 | scales f16 of both runs; 16 quants |
//! | Q4_0 | 64 | 9 | scales f16 of both runs; 8 nibbles |
//! | Q4_K | 256 | 37 | f16 factors of scales and minimums; 2 minimums u8 (pair of runs, row, which); twice: scales u8 (run, row) of 4 runs, and those, 4 nibbles each |
//! | Q5_K | 256 | 45 | factors and minimums as Q4_K; 2 scales u8; 8 runs of 1 fifth bits (bit `i` of a byte for quad `i`), 4 nibbles |
//! | Q6_K | 256 | 53 | f16 factors; 4 scales i8 (run of 32, row, which of two of 16); 8 runs of 2 high bits (2 bits per quad), 4 nibbles |
//! | F32 | 2 | 2 | a line per column |
//! | F16, BF16 | 2 | 1 | half a line per column |

use rayon::prelude::*;

use super::ggml::{self, Encoding};
use super::simd::{LANES, Line};

/// Where the parts of a unit of 256 columns are. `high_bits` says how many bits a quant has above its
/// nibble: 0 in Q4_K, 1 in Q5_K, 2 in Q6_K.
pub mod unit256 {
    use super::Line;

    /// Line with the half floats that scales and minimums are multiplied with, half a line each.
    pub const FACTORS: usize = 0;
    /// Line where the minimums begin: 2, or none in Q6_K.
    pub const MINIMUMS: usize = 1;

    /// Lines before the first section.
    const fn head_lines(high_bits: usize) -> usize {
        if high_bits == 2 { 1 } else { 3 }
    }

    /// Runs of 32 columns whose scales lie together, before them; with those they are a section.
    pub const fn section_runs(high_bits: usize) -> usize {
        if high_bits == 0 { 4 } else { 8 }
    }

    /// Runs whose scales share a line.
    pub const fn runs_per_scale_line(high_bits: usize) -> usize {
        if high_bits == 2 { 2 } else { 4 }
    }

    const fn scale_lines(high_bits: usize) -> usize {
        section_runs(high_bits) / runs_per_scale_line(high_bits)
    }

    const fn section_lines(high_bits: usize) -> usize {
        scale_lines(high_bits) + section_runs(high_bits) * (high_bits + 4)
    }

    /// Lines of a unit.
    pub const fn lines(high_bits: usize) -> usize {
        head_lines(high_bits) + 8 / section_runs(high_bits) * section_lines(high_bits)
    }

    /// The line of a unit with the scales of a run of a section, and which part of the line they are.
    #[inline(always)]
    pub const fn scales(high_bits: usize, section: usize, run: usize) -> (usize, usize) {
        let per_line = runs_per_scale_line(high_bits);
        (head_lines(high_bits) + section * section_lines(high_bits) + run / per_line, run % per_line)
    }

    /// Where in a unit a run of a section begins: high bits, a line for each, then nibbles.
    #[inline(always)]
    pub const fn run(high_bits: usize, section: usize, run: usize) -> usize {
        let begin = head_lines(high_bits) + section * section_lines(high_bits);
        begin + scale_lines(high_bits) + run * (high_bits + 4)
    }

    /// The section of a run that is counted from the unit's beginning, and its number there.
    pub const fn place(high_bits: usize, run: usize) -> (usize, usize) {
        (run / section_runs(high_bits), run % section_runs(high_bits))
    }

    /// The high bits and the nibbles of a run.
    #[inline(always)]
    pub fn run_lines(unit: &[Line], high_bits: usize, section: usize, index: usize) -> (&[Line], &[Line]) {
        unit[run(high_bits, section, index)..][..high_bits + 4].split_at(high_bits)
    }
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
                unit[1..].iter_mut().for_each(|line| line.0[4 * lane..][..4].fill(0x80));
                for (run, block) in blocks.iter().enumerate() {
                    let block = ggml::read_q8_0(block);
                    for (quad, quants) in block.quants.chunks_exact(4).enumerate() {
                        unit[1 + 8 * run + quad].0[4 * lane..][..4].copy_from_slice(quants);
                    }
                    unit[0].0[32 * run + 2 * lane..][..2].copy_from_slice(&block.scale);
                }
            }
        }
        Encoding::Q4_0 => {
            for (unit, blocks) in units.zip(row.as_chunks().0.chunks(2)) {
                for (run, block) in blocks.iter().enumerate() {
                    let block = ggml::read_q4_0(block);
                    pack_nibbles(&mut unit[1 + 4 * run..], lane, &block.quants);
                    unit[0].0[32 * run + 2 * lane..][..2].copy_from_slice(&block.scale);
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
    for (run, quants) in block.quants.chunks_exact(32).enumerate() {
        let (section, index) = unit256::place(high_bits, run);
        let (planes, nibbles) = unit[unit256::run(high_bits, section, index)..].split_at_mut(high_bits);
        pack_nibbles(nibbles, lane, quants);
        for (at, quant) in quants.iter().enumerate() {
            if let Some((plane, shift)) = high_field(high_bits, at / 4) {
                planes[plane].0[4 * lane + at % 4] |= (quant >> 4) << shift;
            }
        }
        let (line, part) = unit256::scales(high_bits, section, index);
        let scales = &mut unit[line].0;
        if high_bits == 2 {
            for half in 0..2 {
                scales[pair_byte(2 * part + half, lane)] = block.scales[2 * run + half];
            }
        } else {
            scales[16 * part + lane] = block.scales[run];
            unit[unit256::MINIMUMS + run / 4].0[pair_byte(run, lane)] = block.minimums[run];
        }
    }
    unit[unit256::FACTORS].0[2 * lane..][..2].copy_from_slice(&block.scale);
    unit[unit256::FACTORS].0[32 + 2 * lane..][..2].copy_from_slice(&block.minimum);
}

/// The line that has the high bits of a quad of a run, and how far up they are in a byte.
fn high_field(high_bits: usize, quad: usize) -> Option<(usize, usize)> {
    let quads_per_line = 8usize.checked_div(high_bits)?;
    Some((quad / quads_per_line, high_bits * (quad % quads_per_line)))
}

/// Where in a line of four runs (of 16 or of 32) a row's byte of one of them is, two runs side by side.
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
                    let quant = unit[1 + col / 4].0[4 * lane + col % 4];
                    *value = half_float(&unit[0], col / 32, lane) * (f32::from(quant) - 128.0);
                }
            }
            Encoding::Q4_0 => {
                for (col, value) in values.iter_mut().enumerate() {
                    let (run, at) = (col / 32, col % 32);
                    let quant = nibble(&unit[1 + 4 * run..], lane, at);
                    *value = half_float(&unit[0], run, lane) * (f32::from(quant) - 8.0);
                }
            }
            Encoding::Q4K => read_unit256(unit, lane, values, 0),
            Encoding::Q5K => read_unit256(unit, lane, values, 1),
            Encoding::Q6K => read_unit256(unit, lane, values, 2),
        }
    }
}

fn read_unit256(unit: &[Line], lane: usize, values: &mut [f32], high_bits: usize) {
    let scale = half_float(&unit[unit256::FACTORS], 0, lane);
    let minimum = half_float(&unit[unit256::FACTORS], 1, lane);
    for (col, value) in values.iter_mut().enumerate() {
        let (run, at) = (col / 32, col % 32);
        let (section, index) = unit256::place(high_bits, run);
        let (planes, nibbles) = unit256::run_lines(unit, high_bits, section, index);
        let mut quant = nibble(nibbles, lane, at);
        if let Some((plane, shift)) = high_field(high_bits, at / 4) {
            let field = planes[plane].0[4 * lane + at % 4] >> shift;
            quant |= (field & ((1 << high_bits) - 1)) << 4;
        }
        let (line, part) = unit256::scales(high_bits, section, index);
        let scales = &unit[line].0;
        *value = if high_bits == 2 {
            let own = scales[pair_byte(2 * part + at / 16, lane)] as i8;
            scale * f32::from(own) * (f32::from(quant) - 32.0)
        } else {
            let own = scales[16 * part + lane];
            let own_minimum = unit[unit256::MINIMUMS + run / 4].0[pair_byte(run, lane)];
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
