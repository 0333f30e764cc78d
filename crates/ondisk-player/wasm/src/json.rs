//! JSON, written value by value.
//!
//! Invariant: commas stand where they belong whatever is written; a number of 64 bits that may be
//! above 2^53 is the caller's to write as a text.

/// A JSON text in the making.
#[derive(Debug, Default)]
pub(crate) struct Json(String);

impl Json {
    pub(crate) fn text(self) -> String {
        self.0
    }

    /// A comma, unless a list, an object or a field has just begun.
    fn comma(&mut self) {
        if !matches!(self.0.as_bytes().last(), None | Some(b'{' | b'[' | b':')) {
            self.0.push(',');
        }
    }

    /// Begins an object or a list.
    pub(crate) fn open(&mut self, bracket: char) -> &mut Self {
        self.comma();
        self.0.push(bracket);
        self
    }

    /// Ends it.
    pub(crate) fn close(&mut self, bracket: char) -> &mut Self {
        self.0.push(bracket);
        self
    }

    /// The name of a field; its value comes next.
    pub(crate) fn field(&mut self, name: &str) -> &mut Self {
        self.string(name);
        self.0.push(':');
        self
    }

    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.comma();
        self.0.push_str(&number.to_string());
        self
    }

    pub(crate) fn flag(&mut self, flag: bool) -> &mut Self {
        self.comma();
        self.0.push_str(if flag { "true" } else { "false" });
        self
    }

    pub(crate) fn null(&mut self) -> &mut Self {
        self.comma();
        self.0.push_str("null");
        self
    }

    pub(crate) fn string(&mut self, text: &str) -> &mut Self {
        self.comma();
        self.0.push('"');
        for c in text.chars() {
            match c {
                '"' | '\\' => self.0.extend(['\\', c]),
                '\n' => self.0.push_str("\\n"),
                // Line separators end a line of JavaScript.
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        self.0.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => self.0.push(c),
            }
        }
        self.0.push('"');
        self
    }

    /// A list of texts.
    pub(crate) fn strings<T: AsRef<str>>(&mut self, all: impl IntoIterator<Item = T>) -> &mut Self {
        self.open('[');
        for one in all {
            self.string(one.as_ref());
        }
        self.close(']')
    }

    /// A list of numbers.
    pub(crate) fn numbers(&mut self, all: impl IntoIterator<Item = u64>) -> &mut Self {
        self.open('[');
        for one in all {
            self.number(one);
        }
        self.close(']')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_json() {
        let mut json = Json::default();
        json.open('{').field("a").number(1).field("b").open('[');
        json.string("x\"\\\n\u{1}ü,[").null().open('{').close('}').flag(true).close(']');
        json.field("c").strings(["{", ":"]).field("d").numbers([]).close('}');
        let told = r#"{"a":1,"b":["x\"\\\n\u0001ü,[",null,{},true],"c":["{",":"],"d":[]}"#;
        assert_eq!(json.text(), told);
    }
}
