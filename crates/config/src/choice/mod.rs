//! Options with a fixed set of named values: one macro gives each its names, parsing and printing.

#[cfg(test)]
mod tests;

use std::str::FromStr;

use crate::nearest::{listed, nearest};

/// A name that is none of the valid ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is no {what}; {}the valid ones are {}",
    .nearest.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default(),
    listed(.valid)
)]
#[non_exhaustive]
pub struct UnknownName {
    /// What the name should have been one of, such as `rounding`.
    pub what: &'static str,
    /// The name as given.
    pub given: String,
    /// The valid name most like it, or a synonym.
    pub nearest: Option<&'static str>,
    /// All valid names, without their synonyms.
    pub valid: &'static [&'static str],
}

/// A closed set of named values.
pub(crate) trait Choice: Copy + FromStr<Err = UnknownName> + 'static {
    /// What one value is called in messages.
    const WHAT: &'static str;
    /// Every valid name, without synonyms.
    const NAMES: &'static [&'static str];
    /// Every valid name, with the synonyms.
    const SPELLINGS: &'static [&'static str];

    /// The error for a name that no value has.
    fn unknown(given: &str) -> UnknownName {
        let nearest = nearest(given, Self::SPELLINGS.iter().copied());
        UnknownName { what: Self::WHAT, given: given.to_owned(), nearest, valid: Self::NAMES }
    }
}

/// Defines an enum whose values have names: `FromStr` takes every name, `as_str`, `Display` and
/// serde's `Serialize` give the first.
macro_rules! choices {
    (
        $(#[$docs:meta])*
        $vis:vis enum $Name:ident ($what:literal) {
            $( $(#[$variant_docs:meta])* $Variant:ident = $name:literal $(| $synonym:literal)*, )+
        }
    ) => {
        $(#[$docs])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $Name {
            $( $(#[$variant_docs])* $Variant, )+
        }

        impl $Name {
            /// The name, as it stands in a recipe.
            #[must_use]
            $vis fn as_str(self) -> &'static str {
                match self {
                    $( $Name::$Variant => $name, )+
                }
            }
        }

        impl $crate::choice::Choice for $Name {
            const WHAT: &'static str = $what;
            const NAMES: &'static [&'static str] = &[$($name),+];
            const SPELLINGS: &'static [&'static str] = &[$($name, $($synonym,)*)+];
        }

        impl std::str::FromStr for $Name {
            type Err = $crate::choice::UnknownName;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                match name {
                    $( $name $(| $synonym)* => Ok($Name::$Variant), )+
                    _ => Err(<$Name as $crate::choice::Choice>::unknown(name)),
                }
            }
        }

        impl std::fmt::Display for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $Name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}
pub(crate) use choices;
