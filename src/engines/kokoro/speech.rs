//! What a network gives for one call.

/// Speech of one text.
#[derive(Debug, Clone, PartialEq)]
pub struct Speech {
    /// 24 kHz mono, −1…1.
    pub samples: Vec<f32>,
    /// Frames of each id, where the network tells.
    pub durations: Option<Vec<u32>>,
}
