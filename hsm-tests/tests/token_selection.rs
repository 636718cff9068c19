//! Which token is served: found by URI, label or serial, refused when in doubt, waited for when absent.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use anyhow::Result;
use chancery_token::{TokenConfig, TokenSelector, TokenState};
use hsm_tests::softhsm::{SoftHsm, in_child, serve};

fn two_tokens_with_one_label(softhsm: &SoftHsm) -> Result<()> {
    softhsm.init_token("twin", "111111")?;
    softhsm.init_token("twin", "123456")?;
    softhsm.init_token("single", "123456")?;
    Ok(())
}

fn configured(softhsm: &SoftHsm, name: &str, selector: TokenSelector) -> Result<TokenConfig> {
    let label = if name.starts_with("single") { "single" } else { "twin" };
    Ok(TokenConfig {
        name: name.into(),
        selector,
        ..serve::config(&softhsm.token(label)?)
    })
}

fn by_uri(uri: &str) -> TokenSelector {
    TokenSelector::Uri(uri.parse().unwrap())
}

#[test]
fn a_label_that_two_tokens_have_is_refused_and_the_serial_decides() {
    in_child(
        "a_label_that_two_tokens_have_is_refused_and_the_serial_decides",
        two_tokens_with_one_label,
        |softhsm| {
            let serial = softhsm.token("twin")?.serial;
            let tokens = serve::start(
                softhsm,
                vec![
                    configured(softhsm, "doubtful", by_uri("pkcs11:token=twin"))?,
                    configured(
                        softhsm,
                        "sure",
                        by_uri(&format!("pkcs11:token=twin;serial={serial};slot-id=9999")),
                    )?,
                ],
            )?;
            serve::block_on(async {
                let failed = serve::wait_for(&tokens.handles()[0], |status| status.state == TokenState::Failed).await?;
                assert!(
                    failed.detail.contains("several tokens match") && failed.detail.contains(&serial),
                    "{failed:?}"
                );
                assert_eq!(serve::ready(&tokens.handles()[1]).await?.serial, serial);
                tokens.shutdown().await;
                Ok(())
            })?
        },
    )
    .unwrap();
}

#[test]
fn one_token_is_not_served_under_two_names() {
    in_child(
        "one_token_is_not_served_under_two_names",
        two_tokens_with_one_label,
        |softhsm| {
            let tokens = serve::start(
                softhsm,
                vec![
                    configured(softhsm, "single", by_uri("pkcs11:token=single"))?,
                    configured(
                        softhsm,
                        "single-again",
                        by_uri("pkcs11:token=single;manufacturer=SoftHSM%20project"),
                    )?,
                ],
            )?;
            serve::block_on(async {
                let (one, other) = (&tokens.handles()[0], &tokens.handles()[1]);
                let settled = |state| matches!(state, TokenState::Ready | TokenState::Failed);
                let one = serve::wait_for(one, |status| settled(status.state)).await?;
                let other = serve::wait_for(other, |status| settled(status.state)).await?;
                assert_ne!(one.state, other.state);
                let failed = if one.state == TokenState::Failed { one } else { other };
                assert!(failed.detail.contains("the same token as single"), "{failed:?}");
                tokens.shutdown().await;
                Ok(())
            })?
        },
    )
    .unwrap();
}

#[test]
fn a_token_that_is_absent_at_start_is_picked_up_when_it_comes() {
    in_child(
        "a_token_that_is_absent_at_start_is_picked_up_when_it_comes",
        |_| Ok(()),
        |softhsm| {
            let late = hsm_tests::softhsm::Token {
                label: "late".into(),
                serial: String::new(),
                pin: "123456".into(),
            };
            let tokens = serve::start(softhsm, vec![serve::config(&late)])?;
            serve::block_on(async {
                let token = &tokens.handles()[0];
                let absent = serve::wait_for(token, |status| status.state == TokenState::Absent).await?;
                assert!(absent.detail.contains("insert or connect"), "{absent:?}");
                softhsm.init_token("late", "123456")?;
                let status = serve::ready(token).await?;
                assert_eq!(
                    (status.label.as_str(), status.manufacturer.as_str()),
                    ("late", "SoftHSM project")
                );
                tokens.shutdown().await;
                Ok(())
            })?
        },
    )
    .unwrap();
}
