//! Who multiplies what: groups of rows shared out among the threads of the current pool.
#![allow(unsafe_code)]

use std::ops::Range;

use super::activations::{Activations, Unit2, Unit64, Unit256, Units, tile_rows};
use super::disjoint::Disjoint;
use super::ggml::Encoding;
use super::kernels::{self, Outputs};
use super::layout::{unit_lines, unit256};
use super::simd::{Isa, Kernel, LANES, Line, Simd};

/// Products below this many multiplications are not worth waking a thread for.
const MIN_PARALLEL_PRODUCTS: usize = 1 << 19;

/// Pieces per thread, so that a thread that comes late leaves its part to the others.
const PIECES_PER_THREAD: usize = 4;

/// A packed matrix and where its products go.
pub(super) struct Job<'a> {
    pub encoding: Encoding,
    pub lines: &'a [Line],
    pub rows: usize,
    pub cols: usize,
    pub out: Disjoint<'a>,
}

impl Job<'_> {
    fn groups(&self) -> usize {
        self.rows.div_ceil(LANES)
    }
}

/// Multiplies the same activations with some matrices, in the current pool of threads.
pub(super) fn multiply(isa: Isa, acts: &Activations, jobs: &[Job]) {
    let groups: usize = jobs.iter().map(Job::groups).sum();
    let products: usize = jobs.iter().map(|job| job.rows * job.cols * acts.count).sum();
    let threads = if products < MIN_PARALLEL_PRODUCTS { 1 } else { rayon::current_num_threads() };
    let piece = if threads == 1 { groups } else { groups.div_ceil(threads * PIECES_PER_THREAD) };
    share(isa, acts, jobs, 0..groups, piece.max(1));
}

/// Halves the groups until they are a piece, and lets another thread take the second half.
fn share(isa: Isa, acts: &Activations, jobs: &[Job], groups: Range<usize>, piece: usize) {
    if groups.len() <= piece {
        return isa.run(Groups { acts, jobs, groups });
    }
    let middle = groups.start + groups.len().div_ceil(2);
    rayon::join(
        || share(isa, acts, jobs, groups.start..middle, piece),
        || share(isa, acts, jobs, middle..groups.end, piece),
    );
}

/// A range of the groups of all jobs, counted one job after the other.
struct Groups<'a> {
    acts: &'a Activations,
    jobs: &'a [Job<'a>],
    groups: Range<usize>,
}

impl Kernel for Groups<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut begin = 0;
        for job in self.jobs {
            let end = begin + job.groups();
            let (from, to) = (self.groups.start.max(begin), self.groups.end.min(end));
            if from < to {
                run_job(simd, self.acts, job, from - begin..to - begin);
            }
            begin = end;
        }
    }
}

#[inline(always)]
fn run_job<S: Simd>(simd: S, acts: &Activations, job: &Job, groups: Range<usize>) {
    match (&acts.units, job.encoding) {
        (Units::Blocks32(units), Encoding::Q8_0) => each_group(simd, acts, job, groups, units, Q8_0),
        (Units::Blocks32(units), Encoding::Q4_0) => each_group(simd, acts, job, groups, units, Q4_0),
        (Units::Blocks256(units), Encoding::Q4K) => each_group(simd, acts, job, groups, units, Q4K),
        (Units::Blocks256(units), Encoding::Q5K) => each_group(simd, acts, job, groups, units, Q5K),
        (Units::Blocks256(units), Encoding::Q6K) => each_group(simd, acts, job, groups, units, Q6K),
        (Units::Dense(units), encoding) => each_group(simd, acts, job, groups, units, Dense(encoding)),
        _ => unreachable!("activations of another kind are refused before"),
    }
}

/// The products of one encoding.
trait Product: Copy {
    type Unit;
    fn products<S: Simd, const M: usize>(
        self,
        simd: S,
        group: &[Line],
        tile: &[[Self::Unit; M]],
    ) -> Outputs<M>;
}

macro_rules! product {
    ($name:ident, $unit:ty, $kernel:expr) => {
        #[derive(Clone, Copy)]
        struct $name;

        impl Product for $name {
            type Unit = $unit;

            #[inline(always)]
            fn products<S: Simd, const M: usize>(
                self,
                simd: S,
                group: &[Line],
                tile: &[[$unit; M]],
            ) -> Outputs<M> {
                $kernel(simd, group, tile)
            }
        }
    };
}

product!(Q8_0, Unit64, kernels::q8_0::<S, M>);
product!(Q4_0, Unit64, kernels::q4_0::<S, M>);
product!(Q4K, Unit256, kernels::with_minimums::<S, 0, { unit256::lines(0) }, M>);
product!(Q5K, Unit256, kernels::with_minimums::<S, 1, { unit256::lines(1) }, M>);
product!(Q6K, Unit256, kernels::q6k::<S, M>);

#[derive(Clone, Copy)]
struct Dense(Encoding);

impl Product for Dense {
    type Unit = Unit2;

    #[inline(always)]
    fn products<S: Simd, const M: usize>(self, simd: S, group: &[Line], tile: &[[Unit2; M]]) -> Outputs<M> {
        kernels::dense(simd, self.0, group, tile)
    }
}

/// Takes all tiles of activations through each group.
#[inline(always)]
fn each_group<S: Simd, P: Product>(
    simd: S,
    acts: &Activations,
    job: &Job,
    groups: Range<usize>,
    units: &[P::Unit],
    product: P,
) {
    let group_lines = job.lines.len() / job.groups();
    debug_assert_eq!(group_lines % unit_lines(job.encoding), 0);
    let units_per_row = units.len() / acts.count;
    for group in groups {
        let lines = &job.lines[group * group_lines..][..group_lines];
        let mut first = 0;
        while first < acts.count {
            let rows = tile_rows(acts.count - first, acts.rows_per_tile);
            let tile = &units[first * units_per_row..][..rows * units_per_row];
            let at = Place { job, group, first };
            match rows {
                8 => one_tile::<S, P, 8>(simd, product, lines, tile, at),
                4 => one_tile::<S, P, 4>(simd, product, lines, tile, at),
                2 => one_tile::<S, P, 2>(simd, product, lines, tile, at),
                _ => one_tile::<S, P, 1>(simd, product, lines, tile, at),
            };
            first += rows;
        }
    }
}

/// Where outputs go: the columns of a group, rows from `first` on.
struct Place<'a> {
    job: &'a Job<'a>,
    group: usize,
    first: usize,
}

/// Multiplies `M` rows of activations with a group.
#[inline(always)]
fn one_tile<S: Simd, P: Product, const M: usize>(
    simd: S,
    product: P,
    lines: &[Line],
    tile: &[P::Unit],
    at: Place,
) {
    let outputs = product.products::<S, M>(simd, lines, tile.as_chunks().0);
    let begin = at.group * LANES;
    let width = LANES.min(at.job.rows - begin);
    for (row, values) in outputs.iter().enumerate() {
        let to = (at.first + row) * at.job.rows + begin;
        // SAFETY: these columns belong to the group, and `share` gives each group to one thread.
        unsafe { at.job.out.write(to, &values[..width]) };
    }
}
