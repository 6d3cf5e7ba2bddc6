//! The elements that are open at a place of a document: their names, and the path they make.

use super::markup::shown;

/// The elements that are open, innermost last, and how many siblings each had before.
#[derive(Debug, Default)]
pub struct OpenElements {
    names: Vec<u8>,
    frames: Vec<Frame>,
    root_seen: bool,
}

#[derive(Debug)]
struct Frame {
    /// Where the name begins in `names`; it ends where the next one begins.
    name_start: usize,
    /// Where the start tag is in the document.
    offset: u64,
    /// Its number among its siblings of that name, from 1; 0 if that is not counted.
    index: u64,
    /// How many children of each counted name it has.
    children: [u64; COUNTED.len()],
}

/// The elements whose number is worth showing in a path.
const COUNTED: [&[u8]; 3] = [b"testsuite", b"testcase", b"property"];

impl OpenElements {
    /// How many there are.
    pub const fn depth(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is, or was, any.
    pub const fn has_root(&self) -> bool {
        self.root_seen
    }

    /// How long their names are together, in bytes.
    pub const fn names_length(&self) -> usize {
        self.names.len()
    }

    /// One more opens, whose tag is here.
    pub fn push(&mut self, name: &[u8], offset: u64) {
        let counted = COUNTED.iter().position(|&counted| counted == name);
        let mut index = 0;
        if let (Some(counted), Some(parent)) = (counted, self.frames.last_mut())
            && let Some(count) = parent.children.get_mut(counted)
        {
            *count += 1;
            index = *count;
        }
        let name_start = self.names.len();
        self.names.extend_from_slice(name);
        self.frames.push(Frame { name_start, offset, index, children: [0; COUNTED.len()] });
        self.root_seen = true;
    }

    /// The name of the innermost, and where its tag is.
    pub fn innermost(&self) -> Option<(&[u8], u64)> {
        let frame = self.frames.last()?;
        Some((self.names.get(frame.name_start..)?, frame.offset))
    }

    /// The innermost closes.
    pub fn pop(&mut self) {
        if let Some(frame) = self.frames.pop() {
            self.names.truncate(frame.name_start);
        }
    }

    /// The path, such as `testsuites/testsuite[2]/testcase[7]`; long ones lose their middle.
    pub fn path(&self) -> String {
        const SHOWN: usize = 16;
        let mut path = String::new();
        let ends =
            self.frames.iter().skip(1).map(|frame| frame.name_start).chain([self.names.len()]);
        for (level, (frame, end)) in self.frames.iter().zip(ends).enumerate() {
            if level >= SHOWN / 2 && level + SHOWN / 2 < self.frames.len() {
                if level == SHOWN / 2 {
                    path.push_str("/…");
                }
                continue;
            }
            if level > 0 {
                path.push('/');
            }
            path.push_str(&shown(self.names.get(frame.name_start..end).unwrap_or_default()));
            if frame.index > 0 {
                path.push_str(&format!("[{}]", frame.index));
            }
        }
        path
    }
}
