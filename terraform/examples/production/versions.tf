terraform {
  required_version = ">= 1.9.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "= 5.100.0"
    }
  }
}

provider "aws" {
  region = var.region
}

# The state holds no token. Keep it where several people can use it, for instance:
#
#   terraform {
#     backend "s3" {
#       bucket       = "..."
#       key          = "team.tfstate"
#       region       = "ap-northeast-2"
#       encrypt      = true
#       use_lockfile = true
#     }
#   }
