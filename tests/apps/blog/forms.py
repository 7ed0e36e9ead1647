"""The forms. Each has a CSRF token."""

import secrets

from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, PasswordField, StringField, SubmitField, TextAreaField
from wtforms.validators import DataRequired, EqualTo, Length, Regexp, ValidationError

from .models import user_by_email, user_by_name


class RegisterForm(FlaskForm):
    """The form of a new user."""

    name = StringField("Name", validators=[Regexp("^[a-z][a-z0-9]{1,39}$", message="Use small letters.")])
    email = StringField("Address", validators=[Length(max=120), Regexp("^[^@\\s]+@[^@\\s]+$")])
    password = PasswordField("Password", validators=[Length(min=8)])
    password2 = PasswordField("Password again", validators=[EqualTo("password")])
    submit = SubmitField("Register")

    def validate_name(self, field: StringField) -> None:
        """Refuse a name that somebody has."""
        if user_by_name(field.data):
            raise ValidationError("Somebody has this name.")

    def validate_email(self, field: StringField) -> None:
        """Refuse an address that somebody has."""
        if user_by_email(field.data):
            raise ValidationError("Somebody has this address.")


class LogInForm(FlaskForm):
    """The form of a known user."""

    name = StringField("Name", validators=[DataRequired()])
    password = PasswordField("Password", validators=[DataRequired()])
    remember = BooleanField("Stay logged in")
    submit = SubmitField("Log in")


class ForgottenForm(FlaskForm):
    """The form of a user who has forgotten the password."""

    email = StringField("Address", validators=[DataRequired()])
    submit = SubmitField("Send a link")


class ResetForm(FlaskForm):
    """The form of a new password."""

    password = PasswordField("New password", validators=[Length(min=8)])
    password2 = PasswordField("New password again", validators=[EqualTo("password")])
    submit = SubmitField("Change it")


class PostForm(FlaskForm):
    """The form of a new post."""

    text = TextAreaField("What is new?", validators=[DataRequired(), Length(max=1000)])
    submit = SubmitField("Publish")


class ProfileForm(FlaskForm):
    """The form of what a user tells others."""

    about = TextAreaField("About you", validators=[Length(max=300)])
    submit = SubmitField("Save")


class ButtonForm(FlaskForm):
    """A button alone."""

    submit = SubmitField()


class ExportForm(FlaskForm):
    """
    The button that asks for an export. Its key becomes the id of the run, so a form that is sent twice asks for one
    export.
    """

    key = HiddenField(default=lambda: secrets.token_hex(16), validators=[Regexp("^[0-9a-f]{32}$")])
    submit = SubmitField("Send me all my posts")
