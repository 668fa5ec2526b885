//! G.711: speech at 8 kHz in 8 bits a sample, as telephones send it, in its two forms µ-law and A-law
//! (ITU-T G.711, November 1988).
//!
//! Encoding is by the segments of the standard's tables, decoding exact: every code gives the value that
//! encodes to it (µ-law's negative zero apart, which is zero).

/// Sample rate of both forms, in Hz.
pub const RATE_HZ: u32 = 8_000;

/// Which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    /// North America and Japan.
    Mu,
    /// Everywhere else.
    A,
}

/// Added to µ-law's magnitudes, so that all segments are found alike.
const MU_BIAS: i32 = 0x84;
/// The greatest magnitude that µ-law holds, in 16 bits.
const MU_CLIP: i32 = 32_635;

impl Law {
    /// One sample → its code.
    #[inline]
    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Law::Mu => encode_mu(i32::from(sample)),
            Law::A => encode_a(i32::from(sample)),
        }
    }

    /// One code → its sample.
    #[inline]
    pub fn decode(self, code: u8) -> i16 {
        match self {
            Law::Mu => decode_mu(code),
            Law::A => decode_a(code),
        }
    }
}

fn encode_mu(sample: i32) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = sample.abs().min(MU_CLIP) + MU_BIAS;
    // The bias makes bit 7 the lowest leading bit there is.
    let segment = 24 - magnitude.leading_zeros();
    let mantissa = (magnitude >> (segment + 3)) & 0x0F;
    !(sign | (segment << 4) as u8 | mantissa as u8)
}

fn decode_mu(code: u8) -> i16 {
    let code = !code;
    let segment = u32::from(code >> 4) & 7;
    let magnitude = (((i32::from(code & 0x0F) << 3) + MU_BIAS) << segment) - MU_BIAS;
    (if code & 0x80 == 0 { magnitude } else { -magnitude }) as i16
}

fn encode_a(sample: i32) -> u8 {
    // 13 bits; a negative one counts from −1.
    let (sign, magnitude) = if sample < 0 { (0, !(sample >> 3)) } else { (0x80, sample >> 3) };
    let code = if magnitude < 32 {
        magnitude >> 1
    } else {
        let segment = 27 - magnitude.leading_zeros() as i32;
        (segment << 4) | ((magnitude >> segment) & 0x0F)
    };
    (sign | code as u8) ^ 0x55
}

fn decode_a(code: u8) -> i16 {
    let code = code ^ 0x55;
    let (segment, mantissa) = (u32::from(code >> 4) & 7, i32::from(code & 0x0F));
    let magnitude = match segment {
        0 => (mantissa << 4) + 8,
        segment => ((mantissa << 4) + 0x108) << (segment - 1),
    };
    (if code & 0x80 == 0 { -magnitude } else { magnitude }) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the standard's tables 1a, 2a (its 14- and 13-bit numbers, times 4 and 8).
    #[test]
    fn the_tables_values() {
        for (sample, code) in [(0, 0xFF), (-32_124, 0x00), (32_124, 0x80), (8, 0xFE), (-8, 0x7E), (132, 0xEF)]
        {
            assert_eq!((Law::Mu.encode(sample), Law::Mu.decode(code)), (code, sample), "µ-law {sample}");
        }
        for (sample, code) in
            [(8, 0xD5), (-8, 0x55), (32_256, 0xAA), (-32_256, 0x2A), (264, 0xC5), (528, 0xF5)]
        {
            assert_eq!((Law::A.encode(sample), Law::A.decode(code)), (code, sample), "A-law {sample}");
        }
    }

    #[test]
    fn every_code_comes_back() {
        for (law, zero_again) in [(Law::Mu, Some(0x7F)), (Law::A, None)] {
            for code in (0..=255).filter(|code| Some(*code) != zero_again) {
                assert_eq!(law.encode(law.decode(code)), code, "{law:?} {code:#x}");
            }
        }
        assert_eq!(Law::Mu.decode(0x7F), 0);
    }

    #[test]
    fn every_sample_is_near_its_code() {
        for law in [Law::Mu, Law::A] {
            for sample in i16::MIN..=i16::MAX {
                let error = (i32::from(law.decode(law.encode(sample))) - i32::from(sample)).abs();
                // Half a step of the segment: 1/32 of the magnitude (µ-law adds 132 to it), and 8 where that
                // is small.
                let most = ((i32::from(sample).abs() + 132) / 32).max(8)
                    + if sample.abs_diff(0) > 32_600 { 700 } else { 0 };
                assert!(error <= most, "{law:?} {sample}: off by {error}");
            }
        }
    }
}
