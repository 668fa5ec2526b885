//! Samples as bytes, integers and floats.
//!
//! On the wire a sample is a signed 16-bit little-endian integer; inside it is that integer or a
//! float in −1…1. One integer step is 1/32768, so integer → float → integer gives the same integer.
//! No resampling and no channels here: everything is mono.

/// A binary message that does not consist of whole 16-bit samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes are no whole number of 16-bit samples; send an even number of bytes")]
pub struct OddBytes {
    /// Length of the refused message.
    pub bytes: usize,
}

/// Full scale of the integer form.
const FULL_SCALE: f32 = 32_768.0;

/// Little-endian bytes → samples.
pub fn samples_from_bytes(bytes: &[u8]) -> Result<Vec<i16>, OddBytes> {
    let mut samples = Vec::new();
    append_samples(bytes, &mut samples)?;
    Ok(samples)
}

/// Little-endian bytes → samples behind those in `samples`; on an error nothing is appended.
pub fn append_samples(bytes: &[u8], samples: &mut Vec<i16>) -> Result<(), OddBytes> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(OddBytes { bytes: bytes.len() });
    }
    samples.extend(pairs.iter().map(|pair| i16::from_le_bytes(*pair)));
    Ok(())
}

/// Samples → little-endian bytes.
pub fn bytes_from_samples(samples: &[i16]) -> Vec<u8> {
    let mut bytes = vec![0; samples.len() * 2];
    for (pair, sample) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(samples) {
        *pair = sample.to_le_bytes();
    }
    bytes
}

/// Floats → little-endian bytes behind those in `bytes`: what a chunk of speech becomes on the wire.
pub fn append_bytes_from_f32(samples: &[f32], bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.resize(start + samples.len() * 2, 0);
    for (pair, sample) in bytes[start..].as_chunks_mut::<2>().0.iter_mut().zip(samples) {
        *pair = i16_from_f32(*sample).to_le_bytes();
    }
}

/// One sample: integer → −1…1.
#[inline]
pub fn f32_from_i16(sample: i16) -> f32 {
    f32::from(sample) / FULL_SCALE
}

/// One sample: −1…1 → the nearest integer (ties to even). What is louder is clipped; NaN is silence.
#[inline]
pub fn i16_from_f32(sample: f32) -> i16 {
    // Adding and subtracting 1.5 · 2²³ leaves the nearest integer: the sum has no bits for a
    // fraction. Unlike `round()` this is no call into libm on a baseline x86-64, and vectorises.
    const ROUND: f32 = 12_582_912.0;
    let scaled = (sample * FULL_SCALE).clamp(-FULL_SCALE, FULL_SCALE - 1.0);
    ((scaled + ROUND) - ROUND) as i16
}

/// Integers → floats in `out`, whose length must be that of `samples`.
///
/// # Panics
/// If the lengths differ.
pub fn write_f32(samples: &[i16], out: &mut [f32]) {
    assert_eq!(samples.len(), out.len(), "as many floats as samples");
    for (float, sample) in out.iter_mut().zip(samples) {
        *float = f32_from_i16(*sample);
    }
}

/// Integers → floats.
pub fn f32s_from_i16s(samples: &[i16]) -> Vec<f32> {
    samples.iter().copied().map(f32_from_i16).collect()
}

/// Floats → integers.
pub fn i16s_from_f32s(samples: &[f32]) -> Vec<i16> {
    samples.iter().copied().map(i16_from_f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_little_endian_and_come_back() {
        assert_eq!(samples_from_bytes(&[0x34, 0x12, 0xff, 0xff, 0x00, 0x80]), Ok(vec![0x1234, -1, i16::MIN]));
        let all: Vec<i16> = (i16::MIN..=i16::MAX).collect();
        assert_eq!(samples_from_bytes(&bytes_from_samples(&all)), Ok(all));
    }

    #[test]
    fn odd_bytes_are_refused_and_change_nothing() {
        let mut samples = vec![7];
        assert_eq!(append_samples(&[1, 2, 3], &mut samples), Err(OddBytes { bytes: 3 }));
        assert_eq!(samples, [7]);
        assert_eq!(append_samples(&[], &mut samples), Ok(()));
        assert_eq!(samples, [7]);
    }

    #[test]
    fn every_integer_survives_the_float_form() {
        let all: Vec<i16> = (i16::MIN..=i16::MAX).collect();
        let mut floats = vec![0.0; all.len()];
        write_f32(&all, &mut floats);
        assert_eq!(floats, f32s_from_i16s(&all));
        assert!(floats.iter().all(|f| (-1.0..1.0).contains(f)));
        assert_eq!(i16s_from_f32s(&floats), all);
    }

    #[test]
    fn floats_are_rounded_and_clipped() {
        let step = 1.0 / 32_768.0;
        for (float, integer) in [
            (0.0, 0),
            (0.49 * step, 0),
            (0.51 * step, 1),
            (-0.51 * step, -1),
            (1.5 * step, 2),
            (2.5 * step, 2),
            (100.49 * step, 100),
            (-100.51 * step, -101),
            (1.0, i16::MAX),
            (-1.0, i16::MIN),
            (7.0, i16::MAX),
            (-7.0, i16::MIN),
            (f32::INFINITY, i16::MAX),
            (f32::NEG_INFINITY, i16::MIN),
            (f32::NAN, 0),
        ] {
            assert_eq!(i16_from_f32(float), integer, "{float}");
        }
    }

    #[test]
    fn floats_become_bytes_behind_what_is_there() {
        let mut bytes = vec![9];
        append_bytes_from_f32(&[0.5, -0.5, 2.0], &mut bytes);
        assert_eq!(bytes, [9, 0x00, 0x40, 0x00, 0xc0, 0xff, 0x7f]);
    }
}
