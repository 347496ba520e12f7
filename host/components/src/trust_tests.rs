//! Keys and signatures here were made with minisign 0.11; those of cosign's kind are made in the tests.

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

use super::*;

const BYTES: &[u8] = b"a component\n";
const KEY: &str = "RWRoWBNV42DaCJ3X8nIya+JxmPJ64D3t3albxlOtRWLb0Ni7Vjg70RCY";
const OTHER: &str = "untrusted comment: minisign public key E9E4754FF1618E8E\nRWSOjmHxT3Xk6S1ZzMPQw5AtsLypXrzIA4RNhGpI0SA7GVJyJ4oWzAtU\n";
const SIGNATURE: &str = "untrusted comment: signature from minisign secret key
RURoWBNV42DaCPArw8ghMxklEi/qRu+XkvLhShpV6SqXq790DfOyy9TTj4+2bPbehVM7u0zPylraAPx6t1iOBm/7dgYX6pkW3Qg=
trusted comment: ceiling 0.1.0
rmFpSYkqg0MNjrTGoIK3PkX+5UTM4bkm2wc+rKGlmMiViJH8t6LNk18Km0Q9rYPkNTordlNVSzGPmjdukGl7Cg==
";
const OLD_FORM: &str = "untrusted comment: signature from minisign secret key
RWRoWBNV42DaCO7Kn2C04G15bz5hHLu864xMAGp/ex/bjZMzSLRFM5l85ZPS5HQCQyaiwS9w9WBUbQ27aYHNyNSp5pUijjYH7wM=
trusted comment: timestamp:1796082559\tfile:c.wasm
ZFtxU2ANpljXv/vOW4DTY7bpaR3JjL8SzR+85RS2iBbyyxdmWuZR1TXEX6zlrHg3LxTrW3fIO89agYBJLE8OCQ==
";
/// Made with openssl.
const COSIGN_KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEA5v4q3oIT6eRYiqk5hJa/UhgJ51T
hwfIO1BLRxxo7LLxph2dL+9kxjTLIXge750iH3xaegjlHPYp4ghzLeUEJg==
-----END PUBLIC KEY-----
";

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn signed(keys: &[&str]) -> Trust {
    let keys = keys.iter().map(|key| MinisignKey::parse(key).unwrap()).collect();
    Trust { mode: TrustMode::Signed, keys, ..Trust::default() }
}

fn minisig(text: &str) -> Evidence {
    Evidence { minisig: Some(text.to_owned()), ..Evidence::default() }
}

fn check(trust: &Trust, bytes: &[u8], evidence: &Evidence) -> Result<Voucher, Fault> {
    trust.check(Path::new("/home/policies/ceiling.wasm"), &sha256(bytes), bytes, evidence)
}

#[test]
fn any_lets_everything_in_and_digests_the_listed() {
    assert_eq!(check(&Trust::default(), BYTES, &Evidence::default()), Ok(Voucher::Anybody));
    let mut trust = Trust { mode: TrustMode::Digests, ..Trust::default() };
    let fault = check(&trust, BYTES, &minisig(SIGNATURE)).unwrap_err();
    assert_eq!(fault.code, "component-not-listed");
    assert!(fault.message.contains(&sha256(BYTES)), "{fault}");
    trust.digests.insert(sha256(BYTES));
    assert_eq!(check(&trust, BYTES, &Evidence::default()), Ok(Voucher::Digest));
    assert!(check(&trust, b"another", &Evidence::default()).is_err());
    trust.shipped.insert(sha256(b"another"));
    assert_eq!(check(&trust, b"another", &Evidence::default()), Ok(Voucher::Shipped));
}

#[test]
fn minisigns_own_signature_counts() {
    let voucher = check(&signed(&[OTHER, KEY]), BYTES, &minisig(SIGNATURE)).unwrap();
    let expected = Voucher::Minisign { key: "8DA60E355135868".to_owned(), comment: "ceiling 0.1.0".to_owned() };
    assert_eq!((voucher.to_string().as_str(), &voucher), ("minisign:8DA60E355135868", &expected));
    assert_eq!(MinisignKey::parse(OTHER).unwrap().id(), "E9E4754FF1618E8E");
}

#[test]
fn what_is_not_signed_by_a_listed_key_is_refused() {
    let altered_comment = SIGNATURE.replace("0.1.0", "0.2.0");
    for (trust, bytes, evidence, code, words) in [
        (signed(&[KEY]), BYTES, Evidence::default(), "component-unsigned", "it isn't signed"),
        (signed(&[KEY]), &b"a Component\n"[..], minisig(SIGNATURE), "component-signature-invalid", "8DA60E355135868"),
        (signed(&[KEY]), BYTES, minisig(&altered_comment), "component-signature-invalid", "was altered"),
        (
            signed(&[OTHER]),
            BYTES,
            minisig(SIGNATURE),
            "component-unsigned",
            "minisign key 8DA60E355135868, which isn't trusted",
        ),
        (signed(&[]), BYTES, minisig(SIGNATURE), "component-unsigned", "isn't trusted"),
        (signed(&[KEY]), BYTES, minisig("nonsense"), "component-signature-invalid", "isn't a signature"),
        (signed(&[KEY]), BYTES, minisig(""), "component-signature-invalid", "isn't a signature"),
        (signed(&[KEY]), BYTES, minisig(OLD_FORM), "component-signature-invalid", "old form"),
    ] {
        let fault = check(&trust, bytes, &evidence).unwrap_err();
        assert_eq!(fault.code, code, "{fault}");
        assert!(fault.message.contains(words), "{words}: {fault}");
        let hint = fault.hint.unwrap();
        assert!(
            hint.contains("E9E4754FF1618E8E") || hint.contains("8DA60E355135868") || hint.contains("no key is listed"),
            "{hint}"
        );
    }
}

struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Self {
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap())
    }

    fn trust(&self) -> Trust {
        // The header of the key of openssl, and this one's point.
        let body: String = COSIGN_KEY.lines().filter(|line| !line.starts_with('-')).collect();
        let mut der = STANDARD.decode(body).unwrap();
        der.truncate(26);
        der.extend_from_slice(self.0.public_key().as_ref());
        let key = CosignKey::parse(&format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----",
            STANDARD.encode(der)
        ));
        Trust { mode: TrustMode::Signed, cosign_keys: vec![key.unwrap()], ..Trust::default() }
    }

    fn evidence(&self, manifest: &str, payload: &str) -> Evidence {
        let signature = self.0.sign(&SystemRandom::new(), payload.as_bytes()).unwrap();
        let evidence = CosignEvidence::new(manifest.as_bytes(), payload.as_bytes(), &STANDARD.encode(signature));
        Evidence { cosign: Some(serde_json::to_string(&evidence).unwrap()), ..Evidence::default() }
    }
}

fn manifest(bytes: &[u8]) -> String {
    format!(
        r#"{{"schemaVersion":2,"layers":[{{"mediaType":"application/wasm","digest":"sha256:{}","size":1}}]}}"#,
        sha256(bytes)
    )
}

fn payload(manifest: &str) -> String {
    format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"r"}},"image":{{"docker-manifest-digest":"sha256:{}"}},"type":"cosign container image signature"}},"optional":null}}"#,
        sha256(manifest.as_bytes())
    )
}

#[test]
fn a_signed_manifest_vouches_for_its_component_alone() {
    let (signer, stranger) = (Signer::new(), Signer::new());
    let ours = manifest(BYTES);
    let good = signer.evidence(&ours, &payload(&ours));
    assert!(matches!(check(&signer.trust(), BYTES, &good), Ok(Voucher::Cosign { .. })));
    let theirs = manifest(b"another");
    for (bytes, evidence, words) in [
        (&b"another"[..], good.clone(), "names another file"),
        (BYTES, signer.evidence(&ours, &payload(&theirs)), "another manifest"),
        (BYTES, signer.evidence(&theirs, &payload(&theirs)), "names another file"),
        (BYTES, signer.evidence(&ours, &payload(&ours).replace("cosign container", "other")), "another manifest"),
        (BYTES, stranger.evidence(&ours, &payload(&ours)), "a cosign key that isn't listed"),
        (BYTES, Evidence { cosign: Some("{}".to_owned()), ..Evidence::default() }, "isn't what the host writes"),
    ] {
        let fault = check(&signer.trust(), bytes, &evidence).unwrap_err();
        assert!(fault.message.contains(words), "{words}: {fault}");
    }
    // A signature of one kind that doesn't count doesn't hide one of the other that does.
    let both = Evidence { minisig: Some(SIGNATURE.to_owned()), ..good };
    assert!(check(&signer.trust(), BYTES, &both).is_ok());
}

#[test]
fn keys_of_another_kind_are_none() {
    assert_eq!(CosignKey::parse(COSIGN_KEY).unwrap().id().len(), 16);
    assert!(
        MinisignKey::parse("RWQ").is_err()
            && MinisignKey::parse("").is_err()
            && MinisignKey::parse(COSIGN_KEY).is_err()
    );
    assert!(CosignKey::parse(KEY).is_err() && CosignKey::parse("").is_err());
    let compressed = COSIGN_KEY.replace("QgAEA5v4", "QgACA5v4");
    assert!(CosignKey::parse(&compressed).is_err());
}
