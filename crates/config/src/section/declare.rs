//! One declaration per section: the type, its documentation, its keys and its schema.

/// Defines a section: a struct with a field for each key, and a `Draft` of it, where each field is
/// read or reported.
///
/// A field is written `name: Type = how`, where `how` is a [`Field`](super::Field) such as
/// `Size.required()`. Its documentation is the key's description in the schema.
macro_rules! section {
    (
        $(#[doc = $doc:literal])+
        #[derive($($derive:path),+)]
        pub struct $Name:ident {
            $( $(#[doc = $field_doc:literal])+ $field:ident: $Type:ty = $how:expr, )+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive($($derive),+)]
        pub struct $Name {
            $( $(#[doc = $field_doc])+ pub $field: $Type, )+
        }

        #[doc = concat!("The keys of a [`", stringify!($Name), "`], each read or reported.")]
        #[derive(Debug)]
        pub(crate) struct Draft {
            $( pub(crate) $field: Result<$Type, $crate::section::Reported>, )+
        }

        impl Draft {
            fn keys(section: &mut $crate::section::Section<'_>) -> Self {
                section.describe(concat!($($doc,)+));
                Draft {
                    $( $field: section.field(stringify!($field), concat!($($field_doc,)+), $how), )+
                }
            }

            /// The section, if all of it could be read.
            pub(crate) fn settle(self) -> Result<$Name, $crate::section::Reported> {
                Ok($Name { $( $field: self.$field?, )+ })
            }
        }
    };
}
pub(crate) use section;
