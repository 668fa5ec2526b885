//! The languages that the model was trained to name, and their codes.

/// A language of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language {
    /// ISO 639-1; 639-3 where that has none (Cantonese, Filipino).
    pub code: &'static str,
    /// As the model writes it.
    pub name: &'static str,
}

/// All of them.
pub const LANGUAGES: [Language; 30] = [
    language("ar", "Arabic"),
    language("yue", "Cantonese"),
    language("zh", "Chinese"),
    language("cs", "Czech"),
    language("da", "Danish"),
    language("nl", "Dutch"),
    language("en", "English"),
    language("fil", "Filipino"),
    language("fi", "Finnish"),
    language("fr", "French"),
    language("de", "German"),
    language("el", "Greek"),
    language("hi", "Hindi"),
    language("hu", "Hungarian"),
    language("id", "Indonesian"),
    language("it", "Italian"),
    language("ja", "Japanese"),
    language("ko", "Korean"),
    language("mk", "Macedonian"),
    language("ms", "Malay"),
    language("fa", "Persian"),
    language("pl", "Polish"),
    language("pt", "Portuguese"),
    language("ro", "Romanian"),
    language("ru", "Russian"),
    language("es", "Spanish"),
    language("sv", "Swedish"),
    language("th", "Thai"),
    language("tr", "Turkish"),
    language("vi", "Vietnamese"),
];

const fn language(code: &'static str, name: &'static str) -> Language {
    Language { code, name }
}

impl Language {
    /// Of a code with or without a region (`de`, `pt-BR`), or of a name.
    pub fn of(tag: &str) -> Option<Language> {
        let primary = tag.split(['-', '_']).next().unwrap_or(tag).trim();
        let is_it = |language: &&Language| {
            language.code.eq_ignore_ascii_case(primary) || language.name.eq_ignore_ascii_case(primary)
        };
        // Tagalog is what Filipino is called in ISO 639-1.
        if primary.eq_ignore_ascii_case("tl") {
            return Language::of("fil");
        }
        LANGUAGES.iter().find(is_it).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_names_are_found_however_they_are_written() {
        for (tag, name) in [
            ("en", "English"),
            ("DE-at", "German"),
            ("pt_BR", "Portuguese"),
            ("yue-HK", "Cantonese"),
            ("japanese", "Japanese"),
            ("tl", "Filipino"),
        ] {
            assert_eq!(Language::of(tag).map(|language| language.name), Some(name), "{tag}");
        }
        for tag in ["", "uk", "None", "e", "engl", "zhh"] {
            assert_eq!(Language::of(tag), None, "{tag}");
        }
    }
}
