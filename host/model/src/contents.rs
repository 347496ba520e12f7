//! Contents of files in JSON: a text where they are UTF-8, else `{"base64": "..."}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Binary { base64: String },
}

pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) => serializer.serialize_str(text),
        Err(_) => Written::Binary { base64: STANDARD.encode(bytes) }.serialize(serializer),
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    match Written::deserialize(deserializer)? {
        Written::Text(text) => Ok(text.into_bytes()),
        Written::Binary { base64 } => STANDARD.decode(base64).map_err(serde::de::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use crate::job::JobFile;

    #[test]
    fn contents_survive() {
        for contents in [b"print(1)\n".to_vec(), vec![0xff, 0x00], Vec::new()] {
            let file = JobFile { path: "a".to_owned(), contents, executable: false };
            let json = serde_json::to_string(&file).unwrap();
            assert_eq!(serde_json::from_str::<JobFile>(&json).unwrap(), file);
        }
    }
}
