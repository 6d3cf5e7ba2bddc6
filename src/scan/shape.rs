//! Parts of JSON values, read leniently: every type of value is taken, and its type remembered.
//!
//! serde's derived types fail at the first field of a wrong type. The service validates record by
//! record and skips what it cannot read, so a wrong type is a finding here, not an error.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::keys::Keys;

/// Which type a value has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// There is no such field.
    #[default]
    Missing,
    Null,
    Boolean,
    Number,
    EmptyText,
    Text,
    Array,
    Object,
}

impl Kind {
    /// The word for it in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "nothing",
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::EmptyText => "an empty string",
            Self::Text => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// What is read of a value beside its type.
pub trait Shape: Default {
    /// Whether the keys of its object must differ.
    const IS_UNIQUE: bool = false;

    /// The number, below 32, of a key that such an object usually has: those cost next to nothing.
    fn number(_key: &str) -> Option<u8> {
        None
    }

    /// The value is an object that has this key twice, of which this is the beginning.
    fn twice(&mut self, _key: &str) {}

    /// The value is of this type.
    fn kind(&mut self, kind: Kind);

    /// The value is this text.
    fn text(&mut self, _text: &str) {}

    /// The value is an object: takes the value of one of its keys.
    ///
    /// # Errors
    /// What `object` gives.
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        _key: &str,
        object: &mut A,
    ) -> Result<(), A::Error> {
        object.next_value::<IgnoredAny>().map(|_| ())
    }

    /// The value is an array: takes its elements.
    ///
    /// # Errors
    /// What `array` gives.
    fn elements<'de, A: SeqAccess<'de>>(&mut self, array: &mut A) -> Result<(), A::Error> {
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

impl Shape for Kind {
    fn kind(&mut self, kind: Kind) {
        *self = kind;
    }
}

/// A short text, such as a status; longer ones are no status anyway.
#[derive(Debug, Clone, Default)]
pub struct Word {
    pub kind: Kind,
    pub text: String,
}

impl Shape for Word {
    fn kind(&mut self, kind: Kind) {
        self.kind = kind;
    }

    fn text(&mut self, text: &str) {
        self.text.extend(text.chars().take(32));
    }
}

/// Reads a [`Shape`] from any value.
#[derive(Debug, Default)]
pub struct Of<T>(pub T);

impl<'de, T: Shape> Deserialize<'de> for Of<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor(PhantomData)).map(Of)
    }
}

struct ShapeVisitor<T>(PhantomData<T>);

impl<T: Shape> ShapeVisitor<T> {
    fn of(kind: Kind) -> T {
        let mut shape = T::default();
        shape.kind(kind);
        shape
    }
}

impl<'de, T: Shape> Visitor<'de> for ShapeVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(Self::of(Kind::Null))
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(Self::of(Kind::Boolean))
    }

    fn visit_i64<E>(self, _: i64) -> Result<T, E> {
        Ok(Self::of(Kind::Number))
    }

    fn visit_u64<E>(self, _: u64) -> Result<T, E> {
        Ok(Self::of(Kind::Number))
    }

    fn visit_f64<E>(self, _: f64) -> Result<T, E> {
        Ok(Self::of(Kind::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        let mut shape = Self::of(if text.trim().is_empty() { Kind::EmptyText } else { Kind::Text });
        shape.text(text);
        Ok(shape)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<T, A::Error> {
        let mut shape = Self::of(Kind::Array);
        shape.elements(&mut array)?;
        Ok(shape)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<T, A::Error> {
        let mut shape = Self::of(Kind::Object);
        let mut keys = Keys::default();
        while let Some(key) = object.next_key::<Key<'de>>()? {
            if T::IS_UNIQUE && !keys.insert(T::number(&key.0), &key.0) {
                shape.twice(beginning(&key.0));
            }
            shape.field(&key.0, &mut object)?;
        }
        Ok(shape)
    }
}

/// The beginning of a key: one may have millions of bytes, and goes into messages.
fn beginning(key: &str) -> &str {
    let end = key.char_indices().nth(64).map_or(key.len(), |(at, _)| at);
    key.get(..end).unwrap_or_default()
}

/// A key, borrowed from the document unless it is written with escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}
