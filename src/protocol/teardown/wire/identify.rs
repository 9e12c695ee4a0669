//! The body of `POST /v1/identify` (`teardown`, sections 5.1 and 9).

use std::borrow::Cow;

use super::json::{Invalid, Object, Place};
use crate::model::{Platform, PushPlatform, RawIdentify, RawPush};

/// Longest string, in characters.
const TEXT: usize = 1_024;
/// Longest push token.
const PUSH_TOKEN: usize = 4_096;
/// Longest identifier of a user.
const IDENTIFIER: usize = 255;

/// The body, checked. Members that the protocol does not know are ignored at every level.
#[derive(Debug)]
pub struct Body<'a> {
    platform: Platform,
    system_name: Cow<'a, str>,
    system_version: Cow<'a, str>,
    version: Cow<'a, str>,
    build: i64,
    device_name: Cow<'a, str>,
    device_kind: Cow<'a, str>,
    device_brand: Cow<'a, str>,
    ota: Option<&'a str>,
    push: Option<Push<'a>>,
    user: User<'a>,
}

#[derive(Debug)]
struct Push<'a> {
    platform: PushPlatform,
    token: Option<Cow<'a, str>>,
}

#[derive(Debug, Default)]
struct User<'a> {
    identifier: Option<Cow<'a, str>>,
    email: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
}

/// Reads a body.
///
/// # Errors
/// The first place that breaks the schema.
pub fn read(body: &[u8]) -> Result<Body<'_>, Invalid> {
    let top = Place::top(body)?;
    let top = top.object()?;
    let device = top.required("device")?;
    let device = device.object()?;
    if let Some(place) = device.optional("timestamp") {
        // Identify counts as of its arrival; the client's clock says nothing better.
        place.text(TEXT)?;
    }
    let os = device.required("os")?;
    let os = os.object()?;
    let application = device.required("application")?;
    let application = application.object()?;
    let hardware = device.required("hardware")?;
    let hardware = hardware.object()?;
    Ok(Body {
        platform: os.required("platform")?.one_of("platform", Platform::parse)?,
        system_name: os.required("name")?.text(TEXT)?,
        system_version: os.required("version")?.text(TEXT)?,
        version: application.required("version")?.text(TEXT)?,
        build: application.required("build_number")?.count()?,
        device_name: hardware.required("device_name")?.text(TEXT)?,
        device_kind: hardware.required("device_type")?.text(TEXT)?,
        device_brand: hardware.required("device_brand")?.text(TEXT)?,
        ota: device.optional("update").map(|place| ota(&place)).transpose()?,
        push: device.optional("notifications").map(|place| push(&place)).transpose()?,
        user: top.optional("user").map(|place| user(&place)).transpose()?.unwrap_or_default(),
    })
}

impl Body<'_> {
    /// The claims of the body; what headers say is still to be added.
    pub fn claims<'s>(&'s self, install_id: &'s str) -> RawIdentify<'s> {
        let push = |push: &'s Push<'_>| RawPush { platform: push.platform, token: push.token.as_deref() };
        RawIdentify {
            install_id,
            platform: self.platform,
            system_name: &self.system_name,
            system_version: &self.system_version,
            version: &self.version,
            build: self.build,
            device_name: &self.device_name,
            device_kind: &self.device_kind,
            device_brand: &self.device_brand,
            ota: self.ota,
            push: self.push.as_ref().map(push),
            identifier: self.user.identifier.as_deref(),
            email: self.user.email.as_deref(),
            name: self.user.name.as_deref(),
            session: None,
            sdk_name: None,
            sdk_version: None,
        }
    }
}

/// A bundle that was loaded over the air: checked, and kept as it came.
fn ota<'a>(place: &Place<'_, 'a>) -> Result<&'a str, Invalid> {
    let update = place.object()?;
    update.required("is_enabled")?.boolean()?;
    update.required("is_embedded_launch")?.boolean()?;
    for key in ["update_id", "update_channel", "runtime_version", "created_at"] {
        update.required(key)?.text(TEXT)?;
    }
    let launch = update.required("emergency_launch")?;
    let launch = launch.object()?;
    if launch.required("is_emergency_launch")?.boolean()? {
        launch.required("reason")?.text(TEXT)?;
    }
    let text = place.raw().get();
    if text.len() > 16 * TEXT {
        return Err(place.invalid("is too large"));
    }
    Ok(text)
}

/// Only what is enabled, granted and not empty is an address for messages (`teardown`, section 9).
fn push<'a>(place: &Place<'_, 'a>) -> Result<Push<'a>, Invalid> {
    let notifications = place.object()?;
    let push = notifications.required("push")?;
    let push = push.object()?;
    let wanted = push.required("enabled")?.boolean()? & push.required("granted")?.boolean()?;
    push.required("token")?;
    let token = push.filled("token", PUSH_TOKEN)?.filter(|_| wanted);
    Ok(Push { platform: push.required("platform")?.one_of("push platform", PushPlatform::parse)?, token })
}

fn user<'a>(place: &Place<'_, 'a>) -> Result<User<'a>, Invalid> {
    let user = place.object()?;
    let (persona, id) = (user.filled("persona_id", IDENTIFIER)?, user.filled("user_id", IDENTIFIER)?);
    Ok(User { identifier: persona.or(id), email: email(&user)?, name: user.filled("name", TEXT)? })
}

fn email<'a>(user: &Object<'_, 'a>) -> Result<Option<Cow<'a, str>>, Invalid> {
    let Some(place) = user.optional("email") else { return Ok(None) };
    let email = place.text(TEXT)?;
    let has_form = || {
        let (local, host) = email.rsplit_once('@')?;
        (!local.is_empty() && !host.is_empty() && !email.contains(char::is_whitespace)).then_some(())
    };
    match email.is_empty() {
        true => Ok(None),
        false if has_form().is_some() => Ok(Some(email)),
        false => Err(place.invalid("is not an e-mail address")),
    }
}

#[cfg(test)]
mod tests;
