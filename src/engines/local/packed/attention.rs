//! Attention of one sequence over [`KvBlocks`], causal or not, without a matrix of scores.
//!
//! Query heads that share a key/value head go through it together, and so do the rows of a prefill, up to
//! eight at a time. The softmax is computed online: spans of 64 positions, counted from the first, each
//! adding to sums that are scaled to the greatest score so far (Milakov and Gimelshein, "Online normalizer
//! calculation for softmax", 2018). The operations of a row are the same, in the same order, whatever rows
//! go with it: positions that it may not see add exactly nothing.
#![allow(unsafe_code)]

use std::ops::Range;

use super::activations::tile_rows;
use super::disjoint::Disjoint;
use super::kv_blocks::{Blocks, KvBlocks, Number, Store, padded};
use super::simd::{self, Isa, Kernel, LANES, Simd};

/// Blocks of a span.
const SPAN_BLOCKS: usize = 4;
/// Positions of a span.
const SPAN: usize = SPAN_BLOCKS * LANES;

/// Attention below this many multiplications is not worth waking a thread for.
const MIN_PARALLEL_PRODUCTS: usize = 1 << 18;

/// Attention of the last positions of `past` to it: `queries` and `out` are `[positions, heads, head_dim]`,
/// and the query of the last position sees all of `past`, each earlier one a position less. Keys are
/// divided among heads in order (grouped queries). `scale` is what scores are multiplied with: 1 / √head_dim.
///
/// # Panics
/// If `heads` is not a multiple of the key/value heads, if `queries` are not whole positions or more than
/// `past` has, or if `out` is not as long.
pub fn attend(queries: &[f32], heads: usize, past: &KvBlocks, scale: f32, out: &mut [f32]) {
    attend_with(Isa::best(), queries, heads, past, scale, out);
}

/// Attention of queries of any number of positions to all of `past`: that of an encoder, and that of a
/// decoder to what was encoded. Shapes as for [`attend`].
///
/// # Panics
/// If `heads` is not a multiple of the key/value heads, if `queries` are not whole positions, if there is
/// no past, or if `out` is not as long.
pub fn attend_all(queries: &[f32], heads: usize, past: &KvBlocks, scale: f32, out: &mut [f32]) {
    attend_all_with(Isa::best(), queries, heads, past, scale, out);
}

pub(super) fn attend_with(
    isa: Isa,
    queries: &[f32],
    heads: usize,
    past: &KvBlocks,
    scale: f32,
    out: &mut [f32],
) {
    let count = queries.len() / (heads * past.head_dim).max(1);
    assert!(count <= past.len(), "queries are of positions in the past");
    run(isa, queries, heads, past, scale, out, Sight::From(past.len() - count));
}

pub(super) fn attend_all_with(
    isa: Isa,
    queries: &[f32],
    heads: usize,
    past: &KvBlocks,
    scale: f32,
    out: &mut [f32],
) {
    assert!(!past.is_empty(), "there is something to attend to");
    run(isa, queries, heads, past, scale, out, Sight::All(past.len()));
}

fn run(isa: Isa, queries: &[f32], heads: usize, past: &KvBlocks, scale: f32, out: &mut [f32], sight: Sight) {
    let width = heads * past.head_dim;
    assert!(heads > 0 && heads.is_multiple_of(past.kv_heads), "{heads} heads share {}", past.kv_heads);
    assert!(queries.len().is_multiple_of(width), "queries are whole positions of {width}");
    assert_eq!(queries.len(), out.len(), "as many outputs as queries");
    let count = queries.len() / width;
    if count == 0 {
        return;
    }
    let shape = Shape { heads, kv_heads: past.kv_heads, head_dim: past.head_dim, sight, count, scale };
    let out = &Disjoint::new(out);
    match &past.store {
        Store::F32(past) => share(isa, &Work { shape, queries, past, out }),
        Store::F16(past) => share(isa, &Work { shape, queries, past, out }),
    }
}

/// What a query sees.
#[derive(Clone, Copy)]
enum Sight {
    /// Everything up to its own position; that of the first query is given.
    From(usize),
    /// So many positions.
    All(usize),
}

#[derive(Clone, Copy)]
struct Shape {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    sight: Sight,
    /// Positions of queries.
    count: usize,
    scale: f32,
}

impl Shape {
    /// Query heads of a key/value head.
    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Rows of queries of a key/value head: position after position, its heads side by side.
    fn rows(&self) -> usize {
        self.count * self.group()
    }

    /// Where in queries and outputs a row begins.
    fn at(&self, kv_head: usize, row: usize) -> usize {
        let (position, head) = (row / self.group(), kv_head * self.group() + row % self.group());
        (position * self.heads + head) * self.head_dim
    }

    /// Positions that a row sees.
    fn visible(&self, row: usize) -> usize {
        match self.sight {
            Sight::From(first) => first + row / self.group() + 1,
            Sight::All(positions) => positions,
        }
    }
}

struct Work<'a, T> {
    shape: Shape,
    queries: &'a [f32],
    /// Of each key/value head.
    past: &'a [Blocks<T>],
    out: &'a Disjoint<'a>,
}

/// Rows that threads take as one piece.
const PIECE_ROWS: usize = 8;

fn share<T: Number>(isa: Isa, work: &Work<T>) {
    let shape = &work.shape;
    let products = 2 * shape.count * shape.heads * shape.head_dim * shape.visible(shape.rows() - 1);
    let pieces = shape.kv_heads * shape.rows().div_ceil(PIECE_ROWS);
    let threads = if products < MIN_PARALLEL_PRODUCTS { 1 } else { rayon::current_num_threads() };
    let grain = if threads == 1 { pieces } else { pieces.div_ceil(threads * 4) };
    split(isa, work, 0..pieces, grain);
}

fn split<T: Number>(isa: Isa, work: &Work<T>, pieces: Range<usize>, grain: usize) {
    if pieces.len() <= grain {
        return isa.run(Pieces { work, pieces });
    }
    let middle = pieces.start + pieces.len().div_ceil(2);
    rayon::join(
        || split(isa, work, pieces.start..middle, grain),
        || split(isa, work, middle..pieces.end, grain),
    );
}

/// Some pieces, counted one key/value head after the other.
struct Pieces<'a, T> {
    work: &'a Work<'a, T>,
    pieces: Range<usize>,
}

impl<T: Number> Kernel for Pieces<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let shape = &self.work.shape;
        let per_head = shape.rows().div_ceil(PIECE_ROWS);
        let mut scratch = Scratch::default();
        for piece in self.pieces {
            let (kv_head, mut row) = (piece / per_head, piece % per_head * PIECE_ROWS);
            let end = (row + PIECE_ROWS).min(shape.rows());
            while row < end {
                let rows = tile_rows(end - row, S::ROWS_PER_PASS);
                match rows {
                    8 => tile::<S, T, 8, 2>(simd, self.work, kv_head, row, &mut scratch),
                    4 => tile::<S, T, 4, 2>(simd, self.work, kv_head, row, &mut scratch),
                    2 => tile::<S, T, 2, 4>(simd, self.work, kv_head, row, &mut scratch),
                    _ => tile::<S, T, 1, 8>(simd, self.work, kv_head, row, &mut scratch),
                }
                row += rows;
            }
        }
    }
}

/// Memory that tiles take turns with.
#[derive(Default)]
struct Scratch {
    /// `[column, row]`
    queries: Vec<f32>,
    /// `[row, column]`
    outputs: Vec<f32>,
}

/// `R` rows of queries; `C` vectors of their outputs are summed up at a time.
#[inline(always)]
fn tile<S: Simd, T: Number, const R: usize, const C: usize>(
    simd: S,
    work: &Work<T>,
    kv_head: usize,
    first_row: usize,
    scratch: &mut Scratch,
) {
    let (shape, past) = (&work.shape, &work.past[kv_head]);
    let width = padded(shape.head_dim);
    scratch.queries.clear();
    scratch.queries.resize(shape.head_dim * R, 0.0);
    for row in 0..R {
        let query = &work.queries[shape.at(kv_head, first_row + row)..][..shape.head_dim];
        for (column, value) in scratch.queries.as_chunks_mut::<R>().0.iter_mut().zip(query) {
            column[row] = *value;
        }
    }
    scratch.outputs.clear();
    scratch.outputs.resize(width * R, 0.0);

    let mut softmaxes = [Softmax { greatest: f32::NEG_INFINITY, sums: simd.splat(0.0) }; R];
    let seen = shape.visible(first_row + R - 1);
    for begin in (0..seen).step_by(SPAN) {
        let span = Span { begin, end: seen.min(begin + SPAN) };
        let mut scores = scores::<S, T, R>(simd, shape, past, scratch.queries.as_chunks().0, span);
        let mut weights = [[0.0; SPAN]; R];
        for row in 0..R {
            let visible = shape.visible(first_row + row).saturating_sub(begin);
            let output = &mut scratch.outputs[row * width..][..width];
            softmaxes[row].add(simd, &mut scores[row], visible, output, &mut weights[row]);
        }
        add_values::<S, T, R, C>(simd, shape, past, span, &weights, &mut scratch.outputs);
    }
    for (row, softmax) in softmaxes.iter().enumerate() {
        let output = &mut scratch.outputs[row * width..][..shape.head_dim];
        let inverse = 1.0 / simd::sum(simd, softmax.sums);
        output.iter_mut().for_each(|value| *value *= inverse);
        // SAFETY: a row belongs to one piece, and `split` gives each piece to one thread.
        unsafe { work.out.write(shape.at(kv_head, first_row + row), output) };
    }
}

/// Positions of at most [`SPAN_BLOCKS`] blocks.
#[derive(Clone, Copy)]
struct Span {
    begin: usize,
    end: usize,
}

/// query · key for each row and position of a span.
#[inline(always)]
fn scores<S: Simd, T: Number, const R: usize>(
    simd: S,
    shape: &Shape,
    blocks: &Blocks<T>,
    queries: &[[f32; R]],
    span: Span,
) -> [[S::Floats; SPAN_BLOCKS]; R] {
    let mut scores = [[simd.splat(f32::NEG_INFINITY); SPAN_BLOCKS]; R];
    let keys =
        blocks.keys.as_chunks::<LANES>().0[span.begin / LANES * shape.head_dim..].chunks(shape.head_dim);
    let used = (span.end - span.begin).div_ceil(LANES);
    for (at, keys) in keys.enumerate().take(used.min(SPAN_BLOCKS)) {
        // Even and odd columns have a sum each: twice as many additions are under way.
        let mut sums = [[simd.splat(0.0); 2]; R];
        for (keys, queries) in keys.chunks(2).zip(queries.chunks(2)) {
            for (parity, (key, query)) in keys.iter().zip(queries).enumerate().take(2) {
                let key = T::load(simd, key);
                for row in 0..R {
                    sums[row][parity] = simd.fma(simd.splat(query[row]), key, sums[row][parity]);
                }
            }
        }
        for row in 0..R {
            scores[row][at] = simd.mul(simd.add(sums[row][0], sums[row][1]), simd.splat(shape.scale));
        }
    }
    scores
}

/// The softmax of a row, as far as it has come.
#[derive(Clone, Copy)]
struct Softmax<F> {
    greatest: f32,
    /// Σ e^(score − greatest), lane by lane.
    sums: F,
}

impl<F: Copy> Softmax<F> {
    /// Takes in a span's scores, of which the first `visible` count: gives their `weights`
    /// e^(score − greatest), and scales what is there to a new greatest.
    #[inline(always)]
    fn add<S: Simd<Floats = F>>(
        &mut self,
        simd: S,
        scores: &mut [F; SPAN_BLOCKS],
        visible: usize,
        output: &mut [f32],
        weights: &mut [f32; SPAN],
    ) {
        let nothing = simd.splat(f32::NEG_INFINITY);
        let mut greatest = nothing;
        for (at, score) in scores.iter_mut().enumerate() {
            *score = simd.first_or(*score, visible.saturating_sub(at * LANES), nothing);
            greatest = simd.max(*score, greatest);
        }
        let greatest = simd::greatest(simd, greatest);
        if greatest > self.greatest {
            let factor = simd::exp(simd, simd.splat(self.greatest - greatest));
            self.greatest = greatest;
            self.sums = simd.mul(self.sums, factor);
            for values in output.as_chunks_mut::<LANES>().0 {
                *values = simd.lanes(simd.mul(simd.load(values), factor));
            }
        }
        for (at, (score, weights)) in scores.iter().zip(weights.as_chunks_mut::<LANES>().0).enumerate() {
            let weight = simd::exp(simd, simd.sub(*score, simd.splat(self.greatest)));
            let weight = simd.first_or(weight, visible.saturating_sub(at * LANES), simd.splat(0.0));
            self.sums = simd.add(self.sums, weight);
            *weights = simd.lanes(weight);
        }
    }
}

/// Adds weight · value of a span's positions to the outputs, `C` vectors of columns at a time.
#[inline(always)]
fn add_values<S: Simd, T: Number, const R: usize, const C: usize>(
    simd: S,
    shape: &Shape,
    blocks: &Blocks<T>,
    span: Span,
    weights: &[[f32; SPAN]; R],
    outputs: &mut [f32],
) {
    let vectors = padded(shape.head_dim) / LANES;
    let mut vector = 0;
    while vector + C <= vectors {
        add_columns::<S, T, R, C>(simd, shape, blocks, span, weights, outputs, vector);
        vector += C;
    }
    while vector < vectors {
        add_columns::<S, T, R, 1>(simd, shape, blocks, span, weights, outputs, vector);
        vector += 1;
    }
}

#[inline(always)]
fn add_columns<S: Simd, T: Number, const R: usize, const C: usize>(
    simd: S,
    shape: &Shape,
    blocks: &Blocks<T>,
    span: Span,
    weights: &[[f32; SPAN]; R],
    outputs: &mut [f32],
    vector: usize,
) {
    let vectors = padded(shape.head_dim) / LANES;
    let outputs = outputs.as_chunks_mut::<LANES>().0;
    let mut sums = [[simd.splat(0.0); C]; R];
    for row in 0..R {
        for column in 0..C {
            sums[row][column] = simd.load(&outputs[row * vectors + vector + column]);
        }
    }
    let values = blocks.values.as_chunks::<LANES>().0[span.begin * vectors..].chunks_exact(vectors);
    for (at, values) in values.enumerate().take((span.end - span.begin).min(SPAN)) {
        let Some(values) = values[vector..].first_chunk::<C>() else { continue };
        let mut loaded = [simd.splat(0.0); C];
        for column in 0..C {
            loaded[column] = T::load(simd, &values[column]);
        }
        for row in 0..R {
            let weight = simd.splat(weights[row][at]);
            for column in 0..C {
                sums[row][column] = simd.fma(weight, loaded[column], sums[row][column]);
            }
        }
    }
    for row in 0..R {
        for column in 0..C {
            outputs[row * vectors + vector + column] = simd.lanes(sums[row][column]);
        }
    }
}
