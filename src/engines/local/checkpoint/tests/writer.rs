//! A writer of GGUF files for tests, which writes nonsense if told so.

/// Numbers of the types that tests use.
pub const F32: u32 = 0;
pub const Q4_0: u32 = 2;
pub const IQ2_XS: u32 = 17;

/// Collects the parts of a file.
pub struct GgufWriter {
    pub version: u32,
    pub alignment: usize,
    entries: Vec<Vec<u8>>,
    infos: Vec<Vec<u8>>,
    data: Vec<u8>,
}

impl GgufWriter {
    /// A file of the given architecture.
    pub fn new(architecture: &str) -> Self {
        GgufWriter { version: 3, alignment: 32, entries: vec![], infos: vec![], data: vec![] }
            .text("general.architecture", architecture)
    }

    pub fn entry(mut self, key: &[u8], kind: u32, value: &[u8]) -> Self {
        self.entries.push([&string(key)[..], &kind.to_le_bytes(), value].concat());
        self
    }

    pub fn u32(self, key: &str, value: u32) -> Self {
        self.entry(key.as_bytes(), 4, &value.to_le_bytes())
    }

    pub fn f32(self, key: &str, value: f32) -> Self {
        self.entry(key.as_bytes(), 6, &value.to_le_bytes())
    }

    pub fn flag(self, key: &str, value: bool) -> Self {
        self.entry(key.as_bytes(), 7, &[u8::from(value)])
    }

    pub fn text(self, key: &str, value: &str) -> Self {
        self.entry(key.as_bytes(), 8, &string(value.as_bytes()))
    }

    pub fn array(self, key: &str, kind: u32, elements: &[Vec<u8>]) -> Self {
        let head = [&kind.to_le_bytes()[..], &(elements.len() as u64).to_le_bytes()].concat();
        self.entry(key.as_bytes(), 9, &[head, elements.concat()].concat())
    }

    pub fn texts(self, key: &str, elements: &[&str]) -> Self {
        let elements: Vec<_> = elements.iter().map(|text| string(text.as_bytes())).collect();
        self.array(key, 8, &elements)
    }

    /// A tensor with its data behind those before; dimensions as in the file, the innermost first.
    pub fn tensor(mut self, name: &str, dimensions: &[u64], kind: u32, data: &[u8]) -> Self {
        let offset = self.data.len() as u64;
        self.data.extend_from_slice(data);
        self.data.resize(self.data.len().next_multiple_of(self.alignment), 0);
        self.tensor_at(name, dimensions, kind, offset)
    }

    /// A tensor that says that its data is at `offset`.
    pub fn tensor_at(mut self, name: &str, dimensions: &[u64], kind: u32, offset: u64) -> Self {
        let mut info = string(name.as_bytes());
        info.extend((dimensions.len() as u32).to_le_bytes());
        dimensions.iter().for_each(|length| info.extend(length.to_le_bytes()));
        info.extend(kind.to_le_bytes());
        info.extend(offset.to_le_bytes());
        self.infos.push(info);
        self
    }

    /// The file.
    pub fn finish(self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(self.version.to_le_bytes());
        file.extend((self.infos.len() as u64).to_le_bytes());
        file.extend((self.entries.len() as u64).to_le_bytes());
        file.extend(self.entries.concat());
        file.extend(self.infos.concat());
        file.resize(file.len().next_multiple_of(self.alignment), 0);
        file.extend(self.data);
        file
    }
}

/// A string with its length in front.
pub fn string(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text].concat()
}
