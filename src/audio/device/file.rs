//! WAV files that keep time like devices.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::{
    AudioSink, AudioSource, DeviceError, FRAME, FRAME_SAMPLES, Frame, LOUDSPEAKER, STEP_SAMPLES,
    WAITING_REPORTS, lock,
};
use crate::audio::playback::PlaybackQueue;
use crate::audio::wav::{self, WavWriter};
use crate::engines::{INPUT_RATE_HZ, OUTPUT_RATE_HZ};

/// A WAV file as a microphone.
pub struct FileSource {
    samples: Vec<i16>,
    at: usize,
    due: Option<Instant>,
}

impl FileSource {
    /// Reads the file. Its time begins with the first call of [`AudioSource::next_frame`].
    pub fn open(path: &Path) -> Result<FileSource, DeviceError> {
        Ok(FileSource { samples: wav::read_i16(path, INPUT_RATE_HZ)?, at: 0, due: None })
    }
}

impl AudioSource for FileSource {
    async fn next_frame(&mut self) -> Result<Frame, DeviceError> {
        // A frame is there when its last sample has been spoken.
        let due = *self.due.get_or_insert_with(|| Instant::now() + FRAME);
        sleep_until(due).await;
        self.due = Some(due + FRAME);
        let rest = &self.samples[self.at..];
        let mut samples = rest[..rest.len().min(FRAME_SAMPLES)].to_vec();
        let after_end = samples.is_empty();
        self.at += samples.len();
        samples.resize(FRAME_SAMPLES, 0);
        Ok(Frame { samples, after_end })
    }
}

/// A WAV file as a loudspeaker.
pub struct FileSink {
    queue: Arc<Mutex<PlaybackQueue>>,
    reports: mpsc::Receiver<u64>,
    stop: oneshot::Sender<()>,
    writing: tokio::task::JoinHandle<Result<(), DeviceError>>,
}

impl FileSink {
    /// Creates the file; its time begins now. Must be called in a runtime.
    pub fn create(path: &Path) -> Result<FileSink, DeviceError> {
        let mut file = WavWriter::create(path, OUTPUT_RATE_HZ)?;
        let queue = Arc::new(Mutex::new(PlaybackQueue::default()));
        let (report, reports) = mpsc::channel(WAITING_REPORTS);
        let (stop, mut stopped) = oneshot::channel();
        let playing = Arc::clone(&queue);
        let writing = tokio::spawn(async move {
            let mut step = [0; STEP_SAMPLES];
            let mut due = Instant::now();
            loop {
                due += FRAME;
                tokio::select! {
                    () = sleep_until(due) => {}
                    _ = &mut stopped => break,
                }
                lock(&playing).pull(&mut step, |id| {
                    let _ = report.try_send(id);
                });
                file.write_i16(&step)?;
            }
            file.finish()?;
            Ok(())
        });
        Ok(FileSink { queue, reports, stop, writing })
    }
}

impl AudioSink for FileSink {
    fn queue(&self) -> MutexGuard<'_, PlaybackQueue> {
        lock(&self.queue)
    }

    async fn next_played(&mut self) -> Result<u64, DeviceError> {
        match self.reports.recv().await {
            Some(chunk) => Ok(chunk),
            // The writer has ended, which it does by itself only with an error.
            None => match (&mut self.writing).await {
                Ok(Err(error)) => Err(error),
                _ => Err(LOUDSPEAKER.broken("the writer has stopped")),
            },
        }
    }

    async fn finish(self) -> Result<(), DeviceError> {
        let _ = self.stop.send(());
        self.writing.await.unwrap_or_else(|error| Err(LOUDSPEAKER.broken(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(rate_hz: u32, samples: &[i16]) -> tempfile::TempPath {
        let path = tempfile::Builder::new().suffix(".wav").tempfile().unwrap().into_temp_path();
        let mut writer = WavWriter::create(&path, rate_hz).unwrap();
        writer.write_i16(samples).unwrap();
        writer.finish().unwrap();
        path
    }

    #[tokio::test]
    async fn a_file_comes_in_real_time_with_silence_behind_it() {
        let samples: Vec<i16> = (1..=700).collect();
        let path = file(16_000, &samples);
        let mut source = FileSource::open(&path).unwrap();
        let began = Instant::now();
        let mut heard = Vec::new();
        for number in 1..=4 {
            let frame = source.next_frame().await.unwrap();
            assert!(began.elapsed() >= FRAME * number, "frame {number} came before it was spoken");
            assert_eq!((frame.samples.len(), frame.after_end), (FRAME_SAMPLES, number > 3));
            heard.extend(frame.samples);
        }
        assert_eq!(heard[..700], samples);
        assert!(heard[700..].iter().all(|sample| *sample == 0));
    }

    #[tokio::test]
    async fn a_reader_that_is_late_does_not_stretch_the_time_of_a_file() {
        let path = file(16_000, &[5; 16_000]);
        let mut source = FileSource::open(&path).unwrap();
        source.next_frame().await.unwrap();
        let second = source.due.unwrap();
        sleep_until(second + FRAME).await;
        for number in 1..=3 {
            source.next_frame().await.unwrap();
            assert_eq!(source.due, Some(second + FRAME * number));
        }
    }

    #[tokio::test]
    async fn a_written_file_holds_what_was_played_without_a_gap() {
        let path = tempfile::Builder::new().suffix(".wav").tempfile().unwrap().into_temp_path();
        let mut sink = FileSink::create(&path).unwrap();
        // Both before a step: the sink's task cannot run in between.
        sink.queue().push(7, vec![3; 1_000]);
        sink.queue().push(8, vec![4; 500]);
        assert_eq!(sink.next_played().await.unwrap(), 7);
        assert_eq!(sink.next_played().await.unwrap(), 8);
        sink.finish().await.unwrap();
        let written = wav::read_i16(&path, OUTPUT_RATE_HZ).unwrap();
        assert_eq!(written.len() % STEP_SAMPLES, 0);
        let played: Vec<i16> = written.into_iter().skip_while(|sample| *sample == 0).collect();
        assert_eq!(played[..1_500], [vec![3; 1_000], vec![4; 500]].concat());
        assert!(played[1_500..].iter().all(|sample| *sample == 0));
    }
}
