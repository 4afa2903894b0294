//! Answers as a bundle keeps them: as they are, but for certificates, of which the encoding that was served is needed again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::facts::certificates::Certificate;
use crate::facts::probe::Probes;
use crate::parse::pem::parse_der_certificate;

/// [`Probes`] that can be written and read again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedProbes {
    probes: Probes,
    /// For each handshake the served certificates in DER, base64.
    chains: Vec<Vec<String>>,
}

impl RecordedProbes {
    pub fn of(probes: &Probes) -> RecordedProbes {
        let chain = |chain: &[Certificate]| chain.iter().map(|certificate| BASE64.encode(&certificate.der)).collect();
        let chains = probes.handshakes.iter().map(|answer| answer.chain.as_deref().map_or_else(|_| Vec::new(), chain));
        RecordedProbes { chains: chains.collect(), probes: probes.clone() }
    }

    /// The answers. A certificate that cannot be read again keeps what was read of it then.
    pub fn into_probes(mut self) -> Probes {
        for (answer, encoded) in self.probes.handshakes.iter_mut().zip(self.chains) {
            let Ok(chain) = &mut answer.chain else { continue };
            for (certificate, encoded) in chain.iter_mut().zip(encoded) {
                let parsed = BASE64.decode(encoded).ok().and_then(|der| parse_der_certificate(&der).ok());
                if let Some(parsed) = parsed {
                    *certificate = parsed;
                }
            }
        }
        self.probes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::probe::{ConnectAnswer, ConnectOutcome, TlsAnswer};
    use crate::origin::{Origin, Unknown};
    use crate::parse::pem;

    #[test]
    fn answers_come_back_as_they_were() {
        let pem = include_bytes!("../../../testdata/pem/ec.crt");
        let chain = pem::parse(pem, Origin::file("/x", None), None).certificates;
        let handshake = |chain| TlsAnswer {
            target: "10.0.0.1:6443".to_owned(),
            server_name: "10.0.0.1".to_owned(),
            dialled_by: "kubelet".to_owned(),
            verified: true,
            chain,
            failure: None,
        };
        let probes = Probes {
            taken: true,
            connects: vec![ConnectAnswer {
                target: "a:1".to_owned(),
                dialled_by: "b".to_owned(),
                outcome: ConnectOutcome::Unreachable("no route".to_owned()),
                elapsed_ms: 3,
            }],
            handshakes: vec![handshake(Err(Unknown::new("a", "b"))), handshake(Ok(chain))],
            docker: Some(Err(Unknown::new("docker", "no answer").with_remedy("wait"))),
            ..Probes::default()
        };
        let json = serde_json::to_string(&RecordedProbes::of(&probes)).unwrap();
        let back: RecordedProbes = serde_json::from_str(&json).unwrap();
        assert_eq!(back.into_probes(), probes);
    }
}
