"""Where the database is and which package holds the kinds: options, environment, `pyproject.toml`, in this order."""

from pydantic import Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    PyprojectTomlConfigSettingsSource,
    SettingsConfigDict,
)


class Settings(BaseSettings):
    """
    What the command line needs to know before it can do anything.

    What is passed to the constructor wins over the environment (`DOCSTORE_URI`, `DOCSTORE_DATABASE`,
    `DOCSTORE_UPGRADERS`), which wins over `[tool.docstore]` in the `pyproject.toml` of the current folder. The URI
    never shows in a representation of the settings: it can hold a password.

    Raises:
        pydantic.ValidationError: A value has the wrong type; the error does not repeat it.
    """

    model_config = SettingsConfigDict(
        env_prefix="DOCSTORE_",
        env_ignore_empty=True,
        pyproject_toml_table_header=("tool", "docstore"),
        extra="ignore",
        hide_input_in_errors=True,
    )

    uri: SecretStr | None = Field(default=None, description="Where the MongoDB deployment is.")
    database: str | None = Field(default=None, description="The database; by default the one named in the URI.")
    upgraders: str | None = Field(default=None, description="The package that holds the kinds.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """See the class for the order."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, PyprojectTomlConfigSettingsSource(settings_cls)
