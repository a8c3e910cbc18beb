mock_provider "aws" {
  source = "../../testing"
}

variables {
  cluster = "team"
}

run "the_path_is_the_settings_default" {
  command = plan

  assert {
    condition     = output.prefix == "/joinery/team" && output.kms_key_arn == null
    error_message = "Path and key must be Joinery's defaults."
  }
}

run "a_slash_at_the_end_is_refused" {
  command = plan
  variables {
    prefix = "/joinery/team/"
  }
  expect_failures = [var.prefix]
}

run "two_keys_are_refused" {
  command = plan
  variables {
    create_kms_key = true
    kms_key_arn    = "arn:aws:kms:ap-northeast-2:111122223333:key/1"
  }
  expect_failures = [var.kms_key_arn]
}
