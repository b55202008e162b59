//! x86-64 with AVX-512 VNNI: `vpdpbusd` multiplies 64 unsigned by 64 signed bytes and adds fours to 16 sums, without saturation.
//!
//! A dense tile is 6 rows by 64 channels: 24 sums and 4 vectors of weights fit the 32 registers. Four vectors of sums become
//! one of bytes by `vpackssdw` and `vpacksswb`, which interleave 128-bit lanes; the weights are packed in the order that makes
//! the result come out right, so nothing is shuffled at run time. The depthwise kernel interleaves four input rows into
//! quads of bytes (which gives the same order of channels) and lets `vpdpbusd` sum a column of the kernel at once.

use std::arch::x86_64::*;

use super::super::packed::{Constants, Layout, PackedDense, PackedDepthwise, SlopeOrder};
use super::{DenseRows, DepthwiseRow, Kernel, Output};
use crate::nn::Isa;

/// See the module.
#[derive(Debug)]
pub struct Avx512Vnni;

static LAYOUT: Layout = Layout {
    panels: &[64, 32, 16],
    step: 4,
    weight_bytes: 1,
    excess: 0,
    order: packed_channel,
    chunk: 64,
    taps: 4,
    tap_bytes: 1,
    chunk_order: |lane| packed_channel(64, lane),
    by_need: false,
    place: |width, step, lane| step * width + lane,
    symmetric: false,
};

/// Rows of a full tile of 64 channels; narrower tiles have twice as many, or their sums would wait for each other.
const ROWS: usize = 6;
const NARROW_ROWS: usize = 12;

/// Where the packs of a panel of `width` put the sum of `lane` (vector `lane / 16`): they go through 128-bit lanes one by one.
fn packed_channel(width: usize, lane: usize) -> usize {
    let vectors = width / 16;
    let (vector, dword) = (lane / 16, lane % 16);
    dword / 4 * 4 * vectors + vector * 4 + dword % 4
}

impl Kernel for Avx512Vnni {
    fn isa(&self) -> Isa {
        Isa::Avx512Vnni
    }

    fn layout(&self) -> &'static Layout {
        &LAYOUT
    }

    fn dense(&self, packed: &PackedDense, mut rows: DenseRows<'_>) {
        rows.check(packed);
        // SAFETY: this kernel is handed out only where the instructions are available (`kernel::of`). `check` holds.
        unsafe { dense(packed, &mut rows) }
    }

    fn depthwise(&self, packed: &PackedDepthwise, mut row: DepthwiseRow<'_>) {
        row.check(packed, &LAYOUT);
        // SAFETY: as above.
        unsafe { depthwise(packed, &mut row) }
    }
}

/// # Safety
/// The processor has AVX-512 F, BW, VL and VNNI; `DenseRows::check` holds.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn dense(packed: &PackedDense, rows: &mut DenseRows<'_>) {
    for panel in &packed.panels {
        // Tiles as even as can be: 49 rows are 4 of 6 and 5 of 5, not 8 of 6 and a lonely one that waits for every product.
        let tiles = rows.count.div_ceil(if panel.width == 64 { ROWS } else { NARROW_ROWS }).max(1);
        let (small, larger) = (rows.count / tiles, rows.count % tiles);
        let mut first = 0;
        for tile in 0..tiles {
            let count = small + usize::from(tile < larger);
            let tile = Tile { packed, weights: panel.offset, lane: panel.first, first };
            // SAFETY: rows `first..first + count` lie within `rows`, whose checks hold.
            unsafe {
                match panel.width {
                    64 => tile.of_count::<4>(count, rows),
                    32 => tile.of_narrow_count::<2>(count, rows),
                    _ => tile.of_narrow_count::<1>(count, rows),
                }
            }
            first += count;
        }
    }
}

/// Some rows times one panel.
struct Tile<'a> {
    packed: &'a PackedDense,
    weights: usize,
    lane: usize,
    first: usize,
}

impl Tile<'_> {
    #[inline(always)]
    unsafe fn of_count<const V: usize>(&self, count: usize, rows: &mut DenseRows<'_>) {
        // SAFETY: handed on.
        unsafe {
            match count {
                6 => self.run::<6, V>(rows),
                5 => self.run::<5, V>(rows),
                4 => self.run::<4, V>(rows),
                3 => self.run::<3, V>(rows),
                2 => self.run::<2, V>(rows),
                1 => self.run::<1, V>(rows),
                _ => {}
            }
        }
    }

    #[inline(always)]
    unsafe fn of_narrow_count<const V: usize>(&self, count: usize, rows: &mut DenseRows<'_>) {
        // SAFETY: handed on.
        unsafe {
            match count {
                12 => self.run::<12, V>(rows),
                11 => self.run::<11, V>(rows),
                10 => self.run::<10, V>(rows),
                9 => self.run::<9, V>(rows),
                8 => self.run::<8, V>(rows),
                7 => self.run::<7, V>(rows),
                _ => self.of_count::<V>(count, rows),
            }
        }
    }

    /// # Safety
    /// As for `dense`; rows `first..first + R` are within `rows`; the panel has `16 * V` lanes.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn run<const R: usize, const V: usize>(&self, rows: &mut DenseRows<'_>) {
        let constants = &self.packed.constants;
        // SAFETY: a panel holds `steps * 64 * V` bytes of weights from `self.weights` on; each row has `steps * 4` bytes
        // (`check`); constants have a value for every lane.
        unsafe {
            let mut weights = self.packed.weights.as_ptr().add(self.weights);
            let input = rows.input.as_ptr().add(self.first * rows.input_stride);
            let inputs: [_; R] = std::array::from_fn(|r| input.add(r * rows.input_stride));
            let start = constants.start.as_ptr().add(self.lane);
            let mut sums = [[_mm512_setzero_si512(); V]; R];
            for v in 0..V {
                let start = _mm512_loadu_si512(start.add(16 * v).cast());
                for sums in &mut sums {
                    sums[v] = start;
                }
            }
            for step in 0..self.packed.steps {
                let mut w = [_mm512_setzero_si512(); V];
                for (v, w) in w.iter_mut().enumerate() {
                    *w = _mm512_load_si512(weights.add(64 * v).cast());
                }
                weights = weights.add(64 * V);
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = inputs[r].add(4 * step).cast::<i32>().read_unaligned();
                    let x = _mm512_set1_epi32(x);
                    for v in 0..V {
                        sums[v] = _mm512_dpbusd_epi32(sums[v], x, w[v]);
                    }
                }
            }
            let place = self.first * rows.output_stride + self.lane;
            let residual = rows.residual.map(|residual| residual.as_ptr().add(place));
            let finish = Finish {
                constants,
                lane: self.lane,
                bias: constants.bias[rows.bias].as_ptr(),
                natural: constants.range.is_none(),
            };
            match &mut rows.output {
                Output::Int8(bytes) => {
                    let bytes = bytes.as_mut_ptr().add(place);
                    finish.rows::<R, V>(sums, residual, rows.output_stride, |r, values| {
                        pack::<V>(values, constants.range, bytes.add(r * rows.output_stride));
                    });
                }
                Output::Float(values) => {
                    let values_at = values.as_mut_ptr().add(place);
                    finish.rows::<R, V>(sums, residual, rows.output_stride, |r, values| {
                        for (v, value) in values.iter().enumerate() {
                            _mm512_storeu_ps(values_at.add(r * rows.output_stride + 16 * v), *value);
                        }
                    });
                }
            }
        }
    }
}

/// The epilogue of `Constants::value` on whole vectors.
struct Finish<'a> {
    constants: &'a Constants,
    lane: usize,
    bias: *const f32,
    /// Lane is channel: no packing follows.
    natural: bool,
}

impl Finish<'_> {
    /// Applies the epilogue to `R` rows of sums and hands every row to `store`. The choices are made once for all rows.
    ///
    /// # Safety
    /// As for `Tile::run`; `residual` has `R` rows, `residual_stride` bytes apart, if the constants ask for it.
    #[inline(always)]
    unsafe fn rows<const R: usize, const V: usize>(
        &self,
        sums: [[__m512i; V]; R],
        residual: Option<*const u8>,
        residual_stride: usize,
        store: impl Fn(usize, [__m512; V]),
    ) {
        let c = self.constants;
        // SAFETY: handed on.
        unsafe {
            match (c.order, c.residual.is_some(), c.shift.is_empty()) {
                (SlopeOrder::None, false, true) => {
                    self.with::<R, V, 0, false, false>(sums, residual, residual_stride, store)
                }
                (SlopeOrder::Before, false, true) => {
                    self.with::<R, V, 1, false, false>(sums, residual, residual_stride, store)
                }
                (SlopeOrder::Before, false, false) => {
                    self.with::<R, V, 1, false, true>(sums, residual, residual_stride, store)
                }
                (SlopeOrder::None, true, true) => {
                    self.with::<R, V, 0, true, false>(sums, residual, residual_stride, store)
                }
                _ => self.with::<R, V, 2, true, true>(sums, residual, residual_stride, store),
            }
        }
    }

    /// `LEAK` 0: none, 1: before the residual, 2: as the constants say, and so for residual and shift.
    #[inline(always)]
    unsafe fn with<const R: usize, const V: usize, const LEAK: u8, const RESIDUAL: bool, const SHIFT: bool>(
        &self,
        sums: [[__m512i; V]; R],
        residual: Option<*const u8>,
        residual_stride: usize,
        store: impl Fn(usize, [__m512; V]),
    ) {
        let c = self.constants;
        // SAFETY: every lane has its constants; the residual is there when asked for.
        unsafe {
            for (r, sums) in sums.into_iter().enumerate() {
                let mut values = [_mm512_setzero_ps(); V];
                for v in 0..V {
                    let at = self.lane + 16 * v;
                    let mut x = self.scale(sums[v], at);
                    if LEAK == 1 || (LEAK == 2 && c.order == SlopeOrder::Before) {
                        x = leak(x, c.slopes.as_ptr().add(at));
                    }
                    if RESIDUAL && let (Some(scale), Some(residual)) = (c.residual, residual) {
                        x = add_residual::<V>(
                            x,
                            residual.add(r * residual_stride),
                            v,
                            scale.zero,
                            scale.multiplier,
                            self.natural,
                        );
                    }
                    if LEAK == 2 && c.order == SlopeOrder::After {
                        x = leak(x, c.slopes.as_ptr().add(at));
                    }
                    if SHIFT && (LEAK != 2 || !c.shift.is_empty()) {
                        x = _mm512_add_ps(x, _mm512_loadu_ps(c.shift.as_ptr().add(at)));
                    }
                    values[v] = x;
                }
                store(r, values);
            }
        }
    }

    #[inline(always)]
    unsafe fn scale(&self, sums: __m512i, at: usize) -> __m512 {
        // SAFETY: every lane has a multiplier and a bias. Two roundings, not one: see `Epilogue`.
        unsafe {
            let scaled =
                _mm512_mul_ps(_mm512_cvtepi32_ps(sums), _mm512_loadu_ps(self.constants.multiplier.as_ptr().add(at)));
            _mm512_add_ps(scaled, _mm512_loadu_ps(self.bias.add(at)))
        }
    }
}

/// `x < 0 ? x * slope : x`.
#[inline(always)]
unsafe fn leak(x: __m512, slopes: *const f32) -> __m512 {
    // SAFETY: the caller has 16 slopes there.
    unsafe {
        let negative = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, _mm512_setzero_ps());
        _mm512_mask_mul_ps(x, negative, x, _mm512_loadu_ps(slopes))
    }
}

/// `x + (residual - zero) * multiplier` for vector `v` of `V`, in kernel order (natural order for float output).
#[inline(always)]
unsafe fn add_residual<const V: usize>(
    x: __m512,
    residual: *const u8,
    v: usize,
    zero: u8,
    multiplier: f32,
    natural: bool,
) -> __m512 {
    // SAFETY: the caller has `16 * V` bytes there.
    unsafe {
        let bytes = if natural || V == 1 {
            _mm512_cvtepu8_epi32(_mm_loadu_si128(residual.add(16 * v).cast()))
        } else if V == 2 {
            let words = _mm512_cvtepu8_epi16(_mm256_loadu_si256(residual.cast()));
            let none = _mm512_setzero_si512();
            if v == 0 { _mm512_unpacklo_epi16(words, none) } else { _mm512_unpackhi_epi16(words, none) }
        } else {
            // Byte 4 v + i of every 128-bit lane becomes dword i of that lane.
            let i = _mm512_set_epi32(
                -253, -254, -255, -256, -253, -254, -255, -256, -253, -254, -255, -256, -253, -254, -255, -256,
            );
            let index = _mm512_add_epi32(i, _mm512_set1_epi32(4 * v as i32));
            _mm512_shuffle_epi8(_mm512_loadu_si512(residual.cast()), index)
        };
        let distance = _mm512_sub_epi32(bytes, _mm512_set1_epi32(i32::from(zero)));
        _mm512_add_ps(x, _mm512_mul_ps(_mm512_cvtepi32_ps(distance), _mm512_set1_ps(multiplier)))
    }
}

/// Rounds, clamps and stores `16 * V` values as bytes.
#[inline(always)]
unsafe fn pack<const V: usize>(values: [__m512; V], range: Option<(u8, u8)>, place: *mut u8) {
    let (low, high) = range.unwrap_or((0, 255));
    // SAFETY: the caller has `16 * V` bytes there. The conversions are exact: |v| < 2^31 was checked when the layer was made.
    unsafe {
        let whole = values.map(|v| _mm512_cvtps_epi32(v));
        match V {
            4 => {
                let (a, b) = (_mm512_packs_epi32(whole[0], whole[1]), _mm512_packs_epi32(whole[2], whole[3]));
                let q = _mm512_xor_si512(_mm512_packs_epi16(a, b), _mm512_set1_epi8(-128));
                let q = _mm512_min_epu8(_mm512_max_epu8(q, _mm512_set1_epi8(low as i8)), _mm512_set1_epi8(high as i8));
                _mm512_storeu_si512(place.cast(), q);
            }
            2 => {
                let q = _mm512_cvtsepi16_epi8(_mm512_packs_epi32(whole[0], whole[1]));
                let q = _mm256_xor_si256(q, _mm256_set1_epi8(-128));
                let q = _mm256_min_epu8(_mm256_max_epu8(q, _mm256_set1_epi8(low as i8)), _mm256_set1_epi8(high as i8));
                _mm256_storeu_si256(place.cast(), q);
            }
            _ => {
                let q = _mm_xor_si128(_mm512_cvtsepi32_epi8(whole[0]), _mm_set1_epi8(-128));
                let q = _mm_min_epu8(_mm_max_epu8(q, _mm_set1_epi8(low as i8)), _mm_set1_epi8(high as i8));
                _mm_storeu_si128(place.cast(), q);
            }
        }
    }
}

/// # Safety
/// The processor has AVX-512 F, BW, VL and VNNI; `DepthwiseRow::check` holds.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn depthwise(packed: &PackedDepthwise, row: &mut DepthwiseRow<'_>) {
    // SAFETY: handed on.
    unsafe {
        match packed.rows_at_once {
            1 => chunks::<1>(packed, row),
            _ => chunks::<2>(packed, row),
        }
    }
}

const CHUNK: usize = 64;

/// # Safety
/// As for `depthwise`; `R` is `packed.rows_at_once`.
#[inline(always)]
unsafe fn chunks<const R: usize>(packed: &PackedDepthwise, row: &mut DepthwiseRow<'_>) {
    let wanted = row.output.len() / row.len.max(1);
    let whole = if wanted == R { row.len / CHUNK * CHUNK } else { 0 };
    let constants = &packed.constants;
    // SAFETY: handed on; the choices are made once a row.
    unsafe {
        if let Output::Int8(_) = row.output {
            match (constants.order, constants.residual.is_some(), constants.shift.is_empty()) {
                (SlopeOrder::None, false, true) => whole_chunks::<R, 0, false, false>(packed, row, whole),
                (SlopeOrder::Before, false, true) => whole_chunks::<R, 1, false, false>(packed, row, whole),
                (SlopeOrder::Before, false, false) => whole_chunks::<R, 1, false, true>(packed, row, whole),
                (SlopeOrder::None, true, true) => whole_chunks::<R, 0, true, false>(packed, row, whole),
                _ => whole_chunks::<R, 2, true, true>(packed, row, whole),
            }
            broken_chunks::<R>(packed, row, whole, wanted);
        } else {
            broken_chunks::<R>(packed, row, 0, wanted);
        }
    }
}

/// The sums of one chunk.
///
/// # Safety
/// As for `chunks`; `chunk` is below `row.len`, `lane` the first of its pattern.
#[inline(always)]
unsafe fn sums<const R: usize>(
    packed: &PackedDepthwise,
    row: &DepthwiseRow<'_>,
    chunk: usize,
    lane: usize,
) -> [[__m512i; 4]; R] {
    let taps = packed.columns * packed.quads * R * 4;
    // SAFETY: each input row and column has whole chunks up to behind `len` (`check`), the weights have
    // `patterns * taps` vectors of 64 bytes, constants have `patterns * 64` lanes.
    unsafe {
        let mut weights = packed.weights.as_ptr().add(lane * taps);
        let start = packed.constants.start.as_ptr().add(lane);
        let mut sums = [[_mm512_setzero_si512(); 4]; R];
        for v in 0..4 {
            let start = _mm512_loadu_si512(start.add(16 * v).cast());
            for sums in &mut sums {
                sums[v] = start;
            }
        }
        for column in row.columns {
            let input = row.input.as_ptr().add(column + chunk);
            for quad in row.rows.chunks_exact(4) {
                let x = [quad[0], quad[1], quad[2], quad[3]].map(|row| _mm512_loadu_si512(input.add(row).cast()));
                let (a, b) = (_mm512_unpacklo_epi8(x[0], x[1]), _mm512_unpacklo_epi8(x[2], x[3]));
                let (c, d) = (_mm512_unpackhi_epi8(x[0], x[1]), _mm512_unpackhi_epi8(x[2], x[3]));
                let x = [
                    _mm512_unpacklo_epi16(a, b),
                    _mm512_unpackhi_epi16(a, b),
                    _mm512_unpacklo_epi16(c, d),
                    _mm512_unpackhi_epi16(c, d),
                ];
                for sums in &mut sums {
                    for v in 0..4 {
                        let w = _mm512_load_si512(weights.add(64 * v).cast());
                        sums[v] = _mm512_dpbusd_epi32(sums[v], x[v], w);
                    }
                    weights = weights.add(256);
                }
            }
        }
        sums
    }
}

/// All chunks below `whole`, straight into the output.
///
/// # Safety
/// As for `chunks`; the output is bytes and has `R` rows.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn whole_chunks<const R: usize, const LEAK: u8, const RESIDUAL: bool, const SHIFT: bool>(
    packed: &PackedDepthwise,
    row: &mut DepthwiseRow<'_>,
    whole: usize,
) {
    let len = row.len;
    let Output::Int8(bytes) = &mut row.output else { return };
    let bytes = bytes.as_mut_ptr();
    let residual = row.residual.map(<[u8]>::as_ptr);
    let mut lane = 0;
    for chunk in (0..whole).step_by(CHUNK) {
        // SAFETY: a chunk below `whole` lies within every row of the output and the residual.
        unsafe {
            let sums = sums::<R>(packed, row, chunk, lane);
            let finish =
                Finish { constants: &packed.constants, lane, bias: packed.constants.bias[0].as_ptr(), natural: false };
            let residual = residual.map(|residual| residual.add(chunk));
            let store = |r: usize, values| pack::<4>(values, packed.constants.range, bytes.add(r * len + chunk));
            finish.with::<R, 4, LEAK, RESIDUAL, SHIFT>(sums, residual, len, store);
        }
        lane += CHUNK;
        if lane == packed.patterns * CHUNK {
            lane = 0;
        }
    }
}

/// The chunks from `from` on through buffers: the last of a row may be short, the second row unwanted, the output floats.
///
/// # Safety
/// As for `chunks`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn broken_chunks<const R: usize>(
    packed: &PackedDepthwise,
    row: &mut DepthwiseRow<'_>,
    from: usize,
    wanted: usize,
) {
    let len = row.len;
    for chunk in (from..len).step_by(CHUNK) {
        let lane = chunk / CHUNK % packed.patterns * CHUNK;
        let valid = CHUNK.min(len - chunk);
        let mut residual = [[0u8; CHUNK]; R];
        if let Some(whole) = row.residual {
            for (r, residual) in residual.iter_mut().enumerate().take(wanted) {
                residual[..valid].copy_from_slice(&whole[r * len + chunk..][..valid]);
            }
        }
        // SAFETY: `chunk` is below `len`; the buffers have a chunk for every row.
        unsafe {
            let sums = sums::<R>(packed, row, chunk, lane);
            let finish =
                Finish { constants: &packed.constants, lane, bias: packed.constants.bias[0].as_ptr(), natural: false };
            let residual = row.residual.map(|_| residual.as_ptr().cast());
            match &mut row.output {
                Output::Int8(bytes) => {
                    let mut made = [[0u8; CHUNK]; R];
                    let place: *mut u8 = made.as_mut_ptr().cast();
                    finish.with::<R, 4, 2, true, true>(sums, residual, CHUNK, |r, values| {
                        pack::<4>(values, packed.constants.range, place.add(r * CHUNK));
                    });
                    for (r, made) in made.iter().enumerate().take(wanted) {
                        bytes[r * len + chunk..][..valid].copy_from_slice(&made[..valid]);
                    }
                }
                Output::Float(values) => {
                    let mut made = [[0f32; CHUNK]; R];
                    let place: *mut f32 = made.as_mut_ptr().cast();
                    finish.with::<R, 4, 2, true, true>(sums, residual, CHUNK, |r, values| {
                        for (v, value) in values.into_iter().enumerate() {
                            for (lane, part) in lanes(value).into_iter().enumerate() {
                                _mm_storeu_ps(place.add(r * CHUNK + 16 * lane + 4 * v), part);
                            }
                        }
                    });
                    for (r, made) in made.iter().enumerate().take(wanted) {
                        values[r * len + chunk..][..valid].copy_from_slice(&made[..valid]);
                    }
                }
            }
        }
    }
}

/// The four 128-bit lanes.
#[inline(always)]
unsafe fn lanes(x: __m512) -> [__m128; 4] {
    // SAFETY: register to register.
    unsafe {
        [
            _mm512_extractf32x4_ps::<0>(x),
            _mm512_extractf32x4_ps::<1>(x),
            _mm512_extractf32x4_ps::<2>(x),
            _mm512_extractf32x4_ps::<3>(x),
        ]
    }
}
